"""`latentctx study NAME`: studies whose every cell is resumable and whose result is a CSV."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from latentctx_agents.cli.dispatch import Commands, dispatch
from latentctx_agents.cli.shared import check_csv, check_folder, one_thread
from latentctx_agents.cli.tables import print_table
from latentctx_agents.results import Measurement, add_results, read_results, write_results


def study(words: list[str]) -> None:
    """Dispatch to a study by its name.

    Raises:
        ValueError: there is no such study.
    """
    dispatch(words, STUDIES, "latentctx study", "study")


def render_profiles(words: list[str]) -> None:
    """Run or resume the comparison of render profiles and print its table."""
    from latentctx_agents.studies.render_profiles import ProfilesConfig, run_profiles

    @dataclass(frozen=True, kw_only=True)
    class RenderProfiles:
        """One encoder for each render profile and seed, finetuned and evaluated on frames of that profile."""

        config: Annotated[ProfilesConfig, tyro.conf.arg(name="")]
        out: Path = Path("runs/render_profiles")  # run folder
        workers: int | None = None  # processes; by default one a core

    default = RenderProfiles(config=ProfilesConfig())
    arguments = tyro.cli(RenderProfiles, args=words, prog="latentctx study render-profiles", default=default)
    summary = run_profiles(arguments.config, arguments.out, workers=arguments.workers)
    shown = []
    for profile, facts in summary.items():
        low, high = facts["ci95"]
        shown.append((profile, f"{facts['success']:.2f}", f"[{low:.2f}, {high:.2f}]"))
    print_table(("render profile", "success", "95 % interval"), shown)
    print(f"results: {arguments.out / 'results.csv'}")


def floors(words: list[str]) -> None:
    """Measure random and zero actions in every locomotion task."""
    from latentctx_agents.studies.floors import measure_floors

    @dataclass(frozen=True, kw_only=True)
    class Floors:
        """Returns of random and of zero actions in the locomotion worlds."""

        episodes: int = 100  # of each policy and task
        out: Path = Path("runs/floors.csv")  # the results

    arguments = tyro.cli(Floors, args=words, prog="latentctx study floors")
    check_csv(arguments.out)
    rows = list(measure_floors(arguments.episodes))
    write_results(arguments.out, rows)
    shown = [
        (row.setting["task"], row.method, row.setting["reward_mode"], f"{row.value:.1f}")
        for row in rows
        if row.metric == "return"
    ]
    print_table(("task", "actions", "counted", "return"), shown)
    print(f"results: {arguments.out}")


def scripted(words: list[str]) -> None:
    """Measure Meta-World's scripted policies in all fifty tasks."""
    from latentctx_agents.studies.scripted import measure_scripted

    @dataclass(frozen=True, kw_only=True)
    class Scripted:
        """Success of Meta-World's scripted policies, task by task."""

        episodes: int = 20  # of each task
        out: Path = Path("runs/scripted.csv")  # the results

    arguments = tyro.cli(Scripted, args=words, prog="latentctx study scripted")
    check_csv(arguments.out)
    rows = list(measure_scripted(arguments.episodes))
    write_results(arguments.out, rows)
    rates = {row.setting["task"]: row.value for row in rows if row.metric == "success"}
    lengths = [row.value for row in rows if row.metric == "length"]
    facts = {"tasks": len(rates), "success": sum(rates.values()) / len(rates)}
    facts |= {"length": sum(lengths) / len(lengths), "below 1": {t: r for t, r in rates.items() if r < 1.0}}
    print(json.dumps(facts))
    print(f"results: {arguments.out}")


def goal_rl(words: list[str]) -> None:
    """Learn a Meta-World task from its goal with SAC and hindsight."""
    from latentctx_agents.studies.goal_rl import GoalRLConfig, learn

    @dataclass(frozen=True, kw_only=True)
    class GoalRL:
        """SAC with hindsight goals on a Meta-World task, from states or from a frozen encoder's features."""

        config: Annotated[GoalRLConfig, tyro.conf.arg(name="")]
        # learning curve, written as it grows; by default runs/goal_rl/<task>_<method>_seed<n>.csv
        out: Path | None = None

    default = GoalRL(config=GoalRLConfig())
    arguments = tyro.cli(GoalRL, args=words, prog="latentctx study goal-rl", default=default)
    config = arguments.config
    out = arguments.out or Path("runs/goal_rl") / f"{config.task}_{config.method}_seed{config.seed}.csv"
    tell = _teller(out)
    for row in learn(config):
        tell(row)
    print(f"results: {out}")


def inverse_dynamics(words: list[str]) -> None:
    """Run or resume cells of the study of arXiv 2305.16985."""
    from latentctx_agents.estimates import read_sections
    from latentctx_agents.plots import label_of
    from latentctx_agents.studies.inverse_dynamics import run_study
    from latentctx_agents.studies.inverse_dynamics_grid import PRESETS, Grid, StudyConfig, usual_grid

    @dataclass(frozen=True, kw_only=True)
    class InverseDynamics:
        """Objectives and baselines, finetuned on a few demonstrations of a hidden context (arXiv 2305.16985)."""

        grid: Annotated[Grid, tyro.conf.arg(name="")] = field(default_factory=Grid)
        config: Annotated[StudyConfig, tyro.conf.arg(name="")] = field(default_factory=StudyConfig)
        out: Path | None = None  # run folder; by default runs/inverse_dynamics/<world>-<preset>
        workers: int | None = None  # processes; by default one a core

    arguments = tyro.extras.overridable_config_cli(
        {
            name: (text, InverseDynamics(grid=usual_grid(name), config=preset))
            for name, (text, preset) in PRESETS.items()
        },
        args=words,
        prog="latentctx study inverse-dynamics",
    )
    config = arguments.config
    out = arguments.out or Path("runs/inverse_dynamics") / f"{config.world}-{config.preset}"
    file = run_study(config, arguments.grid, out, workers=arguments.workers)
    (section,) = [found for found in read_sections([file], out) if found.metric == "success"]
    names = section.telling
    shown = []
    for estimate in section.estimates:
        varied = (str(estimate.setting[name]) for name in names)
        interval = f"[{estimate.low:.2f}, {estimate.high:.2f}]"
        success = (f"{estimate.mean:.2f}", interval, str(estimate.seeds))
        shown.append((label_of(estimate.method), *varied, *success))
    axes = (name.replace("_", " ") for name in names)
    print_table(("method", *axes, "success", "95 % interval", "seeds"), shown)
    print(f"results: {file}")


def aime(words: list[str]) -> None:
    """Run or resume cells of the study of AIME."""
    from latentctx_agents.plots import label_of
    from latentctx_agents.studies.aime import run_study
    from latentctx_agents.studies.aime_grid import PRESETS, AimeGrid, AimeStudyConfig

    @dataclass(frozen=True, kw_only=True)
    class Aime:
        """Imitation from observation by a world model of the body, and what it is compared with (AIME)."""

        grid: Annotated[AimeGrid, tyro.conf.arg(name="")] = field(default_factory=AimeGrid)
        config: Annotated[AimeStudyConfig, tyro.conf.arg(name="")] = field(default_factory=AimeStudyConfig)
        out: Path | None = None  # run folder; by default runs/aime/<body>-<preset>
        workers: int | None = None  # processes; by default one a core

    arguments = tyro.extras.overridable_config_cli(
        {name: (text, Aime(config=preset)) for name, (text, preset) in PRESETS.items()},
        args=words,
        prog="latentctx study aime",
    )
    config = arguments.config
    out = arguments.out or Path("runs/aime") / f"{config.body}-{config.preset}"
    file = run_study(config, arguments.grid, out, workers=arguments.workers)
    shown = []
    for row in read_results([file]):
        if row["metric"] == "expert_share":
            setting = row["setting"]
            cells = (setting["set"], setting["task"], setting["observed"], label_of(row["method"]))
            shown.append((*cells, str(setting["demos"]), str(row["seed"]), f"{row['value']:.2f}"))
    headers = ("experience", "shown", "observed", "method", "demos", "seed", "of the expert's return")
    print_table(headers, shown)
    print(f"results: {file}")


def features_rl(words: list[str]) -> None:
    """Learn one hidden goal of the point mass with PPO."""
    from latentctx_agents.studies.features_rl import FeaturesRLConfig, learn

    @dataclass(frozen=True, kw_only=True)
    class FeaturesRL:
        """PPO on one hidden goal of the point mass, from features of a frozen encoder, pixels or true positions."""

        config: Annotated[FeaturesRLConfig, tyro.conf.arg(name="")]
        # learning curve, written as it grows; by default runs/features_rl/<method>_goal<n>_seed<n>.csv
        out: Path | None = None

    default = FeaturesRL(config=FeaturesRLConfig())
    arguments = tyro.cli(FeaturesRL, args=words, prog="latentctx study features-rl", default=default)
    config = arguments.config
    one_thread()
    out = (
        arguments.out or Path("runs/features_rl") / f"{config.method}_goal{config.goal}_seed{config.seed}.csv"
    )
    tell = _teller(out)
    for row in learn(config):
        tell(row)
    print(f"results: {out}")


def _teller(out: Path) -> Callable[[Measurement], None]:
    """Takes the points of a learning curve as they are measured: prints each and adds it to the CSV."""
    check_csv(out)

    def tell(row: Measurement) -> None:
        print(f"{row.setting['done']:>8} decisions: {row.metric} {row.value:.4g}", flush=True)
        add_results(out, [row])

    return tell


def filter_rl(words: list[str]) -> None:
    """Learn to walk from positions with PPO."""
    from latentctx_agents.studies.filter_rl import FilterRLConfig, learn

    @dataclass(frozen=True, kw_only=True)
    class FilterRL:
        """PPO on a walker whose speeds are hidden: from positions, from a world model's filter, from states."""

        config: Annotated[FilterRLConfig, tyro.conf.arg(name="")]
        # learning curve, written as it grows; by default runs/filter_rl/<task>_<method>_seed<n>.csv
        out: Path | None = None

    default = FilterRL(config=FilterRLConfig())
    arguments = tyro.cli(FilterRL, args=words, prog="latentctx study filter-rl", default=default)
    config = arguments.config
    one_thread()
    out = (
        arguments.out
        or Path("runs/filter_rl") / f"{config.ppo.task}_{config.method}_seed{config.ppo.seed}.csv"
    )
    learn(config, _teller(out))
    print(f"results: {out}")


def theory(words: list[str]) -> None:
    """Run both toys of the theory of arXiv 2305.16985, or draw their figures again."""
    from latentctx_agents.studies.theory import measure_decoder_complexity, measure_linear_contexts
    from latentctx_agents.theory.figures import draw_decoder_complexity, draw_linear_contexts

    @dataclass(frozen=True, kw_only=True)
    class Theory:
        """Linear worlds with a context, and curves that are hard to draw (arXiv 2305.16985)."""

        out: Path = Path("agents/results/theory")  # folder of the results of both toys
        images: Path = Path("docs/images")  # folder of their figures, theory_*.png
        seeds: int | None = None  # of each setting; by default 10 linear worlds and 8 networks
        steps: int = 4000  # gradient steps of the networks
        draw_only: bool = False  # draw the figures of the CSVs that are there

    arguments = tyro.cli(Theory, args=words, prog="latentctx study theory")
    check_folder(arguments.out)
    check_folder(arguments.images)
    one_thread()
    linear, curves = (10, 8) if arguments.seeds is None else (arguments.seeds, arguments.seeds)
    linear_rows = measure_linear_contexts(range(linear))
    curve_rows = measure_decoder_complexity(range(curves), arguments.steps)
    parts = (
        ("linear_contexts", linear_rows, draw_linear_contexts),
        ("decoder_complexity", curve_rows, draw_decoder_complexity),
    )
    for name, rows, draw in parts:
        file, picture = arguments.out / f"{name}.csv", arguments.images / f"theory_{name}.png"
        if not arguments.draw_only:
            write_results(file, rows)
        draw(read_results([file]), picture)
        print(f"results: {file}, drawn in {picture}")


def pvdr(words: list[str]) -> None:
    """Run the cells of the study of arXiv 2411.03169 and print the successes."""
    from latentctx_agents.studies.pvdr import PvdrGrid, PvdrStudyConfig, run_study

    @dataclass(frozen=True, kw_only=True)
    class Pvdr:
        """Image-goal worlds without rewards: a pretrained video model beside what it is made of (arXiv 2411.03169)."""

        config: Annotated[PvdrStudyConfig, tyro.conf.arg(name="")]
        grid: Annotated[PvdrGrid, tyro.conf.arg(name="")]
        model: Path = Path("runs/pvdr/model")  # what `latentctx pvdr pretrain` trained
        out: Path = Path("runs/study_pvdr")  # run folder

    default = Pvdr(config=PvdrStudyConfig(), grid=PvdrGrid())
    arguments = tyro.cli(Pvdr, args=words, prog="latentctx study pvdr", default=default)
    one_thread()
    file = run_study(arguments.config, arguments.grid, arguments.model, arguments.out)
    rows = read_results([file])
    left = {
        (r["setting"]["task"], r["method"], r["seed"], r["setting"]["decisions"]): r["value"]
        for r in rows
        if r["metric"] == "distance_left"
    }
    shown = []
    for row in rows:
        if row["metric"] == "success":
            key = (row["setting"]["task"], row["method"], row["seed"], row["setting"]["decisions"])
            shown.append((*map(str, key), f"{row['value']:.2f}", f"{left[key]:.2f}"))
    print_table(("task", "method", "seed", "decisions", "success", "distance left"), shown)
    print(f"results: {file}")


STUDIES: Commands = {
    "render-profiles": (render_profiles, "is an encoder as good on frames that are rendered faster?"),
    "floors": (floors, "what random and zero actions earn in the locomotion worlds"),
    "scripted": (scripted, "how often Meta-World's scripted policies succeed, task by task"),
    "inverse-dynamics": (inverse_dynamics, "arXiv 2305.16985: objectives and baselines on hidden contexts"),
    "aime": (aime, "AIME: imitation from observation by a world model, on cheetah and walker"),
    "pvdr": (pvdr, "arXiv 2411.03169: a video model that is planned with, beside its ablations"),
    "features-rl": (features_rl, "PPO on one hidden goal: frozen features, pixels, true positions"),
    "filter-rl": (filter_rl, "PPO on a walker without speeds: positions, a world model's filter, states"),
    "goal-rl": (goal_rl, "SAC with hindsight goals on a Meta-World task, from states or frozen features"),
    "theory": (theory, "arXiv 2305.16985's claims as toys: linear contexts, curves that are hard to draw"),
}
