"""Generate the tables of the docs from the CSVs under agents/results and the benchmarks' results: `python docs/tables.py`."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aime_tables
import numpy as np
import pvdr_tables
import study_tables
import theory_tables
from table_text import matching, origin, table, values_of

from latentctx_agents import zoo
from latentctx_agents.estimates import interval_of
from latentctx_agents.plots import LABELS
from latentctx_agents.results import read_results
from latentctx_agents.studies.features_rl import LABELS as SEEN
from latentctx_agents.studies.filter_rl import LABELS as OF_A_BODY
from latentctx_datasets.demonstrators.locomotion import ENV_IDS, weights_file
from latentctx_envs.rendering import PROFILES

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "agents" / "results"
LATEST = ROOT / "benchmarks" / "results" / "latest.json"


def demo_table() -> str:
    """Success of each method, seed by seed, from agents/results/demo."""
    rows = read_results(sorted((RESULTS / "demo").glob("*.csv")))
    success = matching(rows, metric="success")
    seeds = sorted({row["seed"] for row in success})
    expert = np.mean(values_of(success, method="expert"))
    lines = []
    for name in (name for name in LABELS if matching(success, method=name)):
        values = [float(np.mean(values_of(success, method=name, seed=seed))) for seed in seeds]
        errors = values_of(rows, metric="probe_rmse_m", method=name)
        probe = f"{1000 * np.mean(errors):.1f}" if errors else ""
        numbers = [f"{value:.2f}" for value in (*values, np.mean(values), np.mean(values) / expert)]
        lines.append([LABELS[name], *numbers, probe])
    setting = rows[0]["setting"]
    facts = f"{setting['demos']} demonstrations, {setting['pretrain']} pretraining contexts, {setting['episodes']} episodes a goal"
    head = ["method", *(f"seed {seed}" for seed in seeds), "mean", "of the expert", "probe error [mm]"]
    return table(head, lines, f"{facts}; {origin(rows)}")


def profiles_table() -> str:
    """Success of encoders trained and evaluated in each render profile, from agents/results/render_profiles."""
    rows = read_results(sorted((RESULTS / "render_profiles").glob("*.csv")))
    lines = []
    for profile in PROFILES:
        cells = matching(rows, profile=profile)
        low, high = interval_of(cells)
        by_seed = [np.mean(values_of(cells, seed=seed)) for seed in sorted({row["seed"] for row in cells})]
        each = ", ".join(f"{value:.2f}" for value in by_seed)
        lines.append([f"`{profile}`", f"{np.mean(by_seed):.2f}", f"[{low:.2f}, {high:.2f}]", each])
    setting = rows[0]["setting"]
    facts = f"Inverse dynamics, {setting['demos']} demonstrations, {setting['pretrain']} pretraining contexts"
    head = ["profile", "success", "95 % interval", "seeds"]
    return table(head, lines, f"{facts}; interval over seeds and goals; {origin(rows)}")


SPEC_FLOORS = {  # random and zero actions of AIME's own measure (its reference code, 20 and 5 episodes)
    "cheetah-run": (5.5, 0.1), "cheetah-run-backward": (15.3, 0.0), "cheetah-flip": (45.3, 0.2),
    "cheetah-flip-backward": (45.1, 0.0), "walker-stand": (137.0, 116.0), "walker-walk": (39.0, 20.0),
    "walker-run": (25.0, 19.0),
}  # fmt: skip


def floors_table() -> str:
    """Returns of random and zero actions, from agents/results/locomotion_floors."""
    rows = read_results(sorted((RESULTS / "locomotion_floors").glob("*.csv")))
    found = {(r["setting"]["task"], r["method"], r["setting"]["reward_mode"], r["metric"]): r for r in rows}
    lines = []
    for task in dict.fromkeys(row["setting"]["task"] for row in rows):
        cells = []
        for policy, place in (("random", 0), ("zero", 1)):
            mean, error = (
                found[task, policy, "last_substep", metric]["value"]
                for metric in ("return", "standard_error")
            )
            theirs = f"{SPEC_FLOORS[task][place]:.1f}" if task in SPEC_FLOORS else ""
            cells += [f"{mean:.1f} +- {error:.1f}", theirs]
        summed = found[task, "random", "sum", "return"]["value"]
        lines.append([task, *cells, f"{summed:.1f}"])
    facts = f"{rows[0]['setting']['episodes']} episodes each, mean and standard error"
    head = ["task", "random", "reference code", "zero", "reference code", "random, summed"]
    return table(head, lines, f"{facts}; {origin(rows)}")


def scripted_table() -> str:
    """Success of Meta-World's scripted policies, from agents/results/meta_world_scripted."""
    rows = read_results(sorted((RESULTS / "meta_world_scripted").glob("*.csv")))
    rates = {row["setting"]["task"]: row["value"] for row in rows if row["metric"] == "success"}
    lengths = values_of(rows, metric="length")
    line = [f"all {len(rates)}", f"{np.mean(list(rates.values())):.3f}", f"{np.mean(lengths):.0f} steps"]
    failing = sorted((rate, task) for task, rate in rates.items() if rate < 1.0)
    named = ", ".join(f"{task.removesuffix('-v3')} {rate:.2f}" for rate, task in failing)
    facts = f"{rows[0]['setting']['episodes']} episodes a task; {origin(rows)}"
    return table(["tasks", "success", "mean length"], [line], f"Below 1: {named}. {facts}")


THROUGH = {  # encoders of agents/recipes/meta_world/goal_rl.md, in the order of the table
    None: "states",
    "goal_rl/pretrain/encoder": "inverse dynamics, its demonstrations",
    "pvdr-arm/encoder": "PVDR, videos of the arm",
}


def goal_rl_table() -> str:
    """Success over training of SAC with hindsight goals, from agents/results/goal_rl."""
    rows = matching(read_results(sorted((RESULTS / "goal_rl").glob("*.csv"))), metric="success")
    times = sorted({row["setting"]["done"] for row in rows})
    lines = []
    for encoder, label in THROUGH.items():
        for pretrained in (True, False):
            found = [
                row
                for row in rows
                if row["setting"]["encoder"] == encoder
                and row["setting"].get("pretrained", True) is pretrained
            ]
            at = {
                done: [f"{row['value']:.2f}" for row in found if row["setting"]["done"] == done]
                for done in times
            }
            if found:
                what = label if pretrained else f"{label.partition(',')[0]}'s network as it began"
                lines.append([what, *(" / ".join(at[done]) for done in times)])
    counts = " or ".join(str(count) for count in sorted({row["setting"]["episodes"] for row in rows}))
    head = ["SAC sees", *(f"{done:,}" for done in times)]
    return table(
        head, lines, f"Columns are decisions, seeds 0 / 1 / 2; {counts} episodes each. {origin(rows)}"
    )


def features_rl_table() -> str:
    """Success over training of PPO on one hidden goal, mean over seeds, from agents/results/features_rl."""
    rows = read_results(sorted((RESULTS / "features_rl").glob("*.csv")))
    times = sorted({row["setting"]["done"] for row in rows})
    return _curves_table(rows, SEEN, [*times[1:6], times[-1]], "success", 2)  # later ones are alike


def filter_rl_table() -> str:
    """Return over training of PPO on a walker without speeds, mean over seeds, from agents/results/filter_rl."""
    rows = read_results(sorted((RESULTS / "filter_rl").glob("*.csv")))
    times = sorted({row["setting"]["done"] for row in rows})
    return _curves_table(rows, OF_A_BODY, [*times[2:-2:2], times[-1]], "return", 0)


def _curves_table(
    rows: Sequence[dict[str, Any]], labels: Mapping[str, str], times: Sequence[int], metric: str, digits: int
) -> str:
    """Mean over seeds of what PPO's mean action reaches after so many decisions, a line for each thing it sees."""
    lines = []
    for method, label in labels.items():
        own = matching(rows, method=method)
        if own:
            numbers = (f"{np.mean(values_of(own, done=done)):.{digits}f}" for done in times)
            lines.append([label, str(len({row["seed"] for row in own})), *numbers])
    note = (
        f"Columns are decisions; {metric} of the mean action over {rows[0]['setting']['episodes']} episodes"
    )
    head = ["what PPO sees", "seeds", *(f"{done:,}" for done in times)]
    return table(head, lines, f"{note}; {origin(rows)}")


def zoo_table() -> str:
    """The encoders that ship, from their folders."""
    lines = []
    for entry in zoo.entries():
        facts = (entry.objective, f"`{entry.dataset}`", str(entry.input_size), str(entry.features))
        lines.append([f"`{entry.name}`", *facts, f"{entry.bytes / 1000:.0f}", entry.success])
    return table(["name", "objective", "dataset", "input", "features", "kB", "success"], lines)


def demonstrators_table() -> str:
    """Returns of the trained demonstrators, from agents/results/demonstrators."""
    rows = read_results(sorted((RESULTS / "demonstrators").glob("*.csv")))
    found = {(r["setting"]["task"], r["setting"]["reward_mode"], r["metric"]): r for r in rows}
    tasks = {row["setting"]["task"] for row in rows}
    lines = []
    for task in (task for task in ENV_IDS if task in tasks):
        row = found[task, "last_substep", "return"]
        mean, std = row["value"], found[task, "last_substep", "return_std"]["value"]
        summed = found[task, "sum", "return"]["value"]
        paper, card = row["setting"]["paper"], json.loads(weights_file(task).with_suffix(".json").read_text())
        theirs = "" if paper is None else f"{paper:.1f}"
        share = f"{mean / row['setting']['max_return']:.2f}"
        training = f"{card.get('decisions', card['config']['decisions']) / 1e6:g} M decisions, {card['training_seconds'] / 60:.0f} min"
        lines.append([task, f"{mean:.1f} +- {std:.1f}", theirs, share, f"{summed:.1f}", training])
    facts = f"{rows[0]['setting']['episodes']} episodes each, mean and standard deviation"
    head = ["task", "return", "AIME's expert", "of the most", "summed", "training"]
    return table(head, lines, f"{facts}; {origin(rows)}")


def bench_table(group: str) -> str:
    """Every comparison of a group of benchmarks, from benchmarks/results/latest.json."""
    found = json.loads(LATEST.read_text())[group]
    lines: list[list[str]] = []
    parts = [part for part in found.values() if isinstance(part, dict) and "machine" in part]
    for part in parts:
        for comparison in part.values():
            if isinstance(comparison, dict) and "cpu_ratios" in comparison:
                lines += _ratio_rows(comparison)
        for name, target in part.get("targets", {}).items():  # averages over many comparisons
            value = _ratio(part["averages"][name])
            title = f"Meta-World, {name}s, mean of ten tasks"
            lines.append([title, "metaworld", "engine", f"{target:g} x", "", value])
    machine = parts[0]["machine"]
    note = f"{machine['cores']} x {machine['processor']}; commit {found['commit']}."
    return table(["what", "against", "", "target", "wall", "CPU"], lines, note)


def _ratio_rows(comparison: dict[str, Any]) -> list[list[str]]:
    rows = []
    for arm, target in comparison["targets"].items():
        wall, cpu = (comparison[f"{clock}_ratios"][arm] for clock in ("wall", "cpu"))
        rows.append(
            [comparison["title"], comparison["peer"], arm, f"{target:,g} x", _ratio(wall), _ratio(cpu)]
        )
    return rows


def _ratio(value: float) -> str:
    return f"{value:,.0f} x" if value >= 20 else f"{value:.2g} x" if value >= 10 else f"{value:.2f} x"


PERFORMANCE = ROOT / "docs" / "performance.md"
AIME_PAGE = ROOT / "docs" / "papers" / "aime.md"
PVDR_PAGE = ROOT / "docs" / "papers" / "pvdr.md"
STUDY_PAGE = ROOT / "docs" / "papers" / "inverse_dynamics.md"
TABLES: dict[str, tuple[Callable[[], str], list[Path]]] = {
    "demo": (demo_table, [ROOT / "docs" / "papers" / "inverse_dynamics.md"]),
    "render-profiles": (profiles_table, [PERFORMANCE]),
    "floors": (floors_table, [ROOT / "docs" / "envs" / "locomotion.md"]),
    "scripted": (scripted_table, [ROOT / "docs" / "envs" / "meta_world.md"]),
    "features_rl": (features_rl_table, [ROOT / "docs" / "encoders.md"]),
    "filter_rl": (filter_rl_table, [ROOT / "docs" / "encoders.md"]),
    "zoo": (zoo_table, [ROOT / "docs" / "encoders.md"]),
    "goal_rl": (goal_rl_table, [ROOT / "docs" / "envs" / "meta_world.md"]),
    "demonstrators": (demonstrators_table, [ROOT / "docs" / "envs" / "locomotion.md"]),
    "bench-pixels": (lambda: bench_table("pixels"), [PERFORMANCE]),
    "bench-vector": (lambda: bench_table("vector"), [PERFORMANCE]),
    "bench-data": (lambda: bench_table("data"), [PERFORMANCE]),
    "bench-encode": (lambda: bench_table("encode"), [PERFORMANCE]),
    "bench-world-model": (lambda: bench_table("world_model"), [PERFORMANCE, AIME_PAGE]),
    "study-point-mass": (lambda: study_tables.study_table("point-mass", 2), [STUDY_PAGE]),
    "study-contexts": (lambda: study_tables.contexts_table("point-mass", 2), [STUDY_PAGE]),
    "study-n-step": (lambda: study_tables.n_step_table("point-mass", 2), [STUDY_PAGE]),
    "study-pick-place": (lambda: study_tables.beside_paper_table("pick-place"), [STUDY_PAGE]),
    "study-pick-place-4000": (
        lambda: study_tables.beside_paper_table("pick-place", "pick-place-4000"),
        [STUDY_PAGE],
    ),
    "study-door": (
        lambda: study_tables.in_distribution_table("door", "latentctx/door/expert-all-v0"),
        [STUDY_PAGE],
    ),
    "study-ml45": (lambda: study_tables.beside_paper_table("ml45"), [STUDY_PAGE]),
    "study-r3m": (lambda: study_tables.beside_paper_table("r3m"), [STUDY_PAGE]),
    "study-demos": (lambda: study_tables.demos_table("point-mass"), [STUDY_PAGE]),
    "study-visible": (lambda: study_tables.visible_table("point-mass", 2), [STUDY_PAGE]),
    "study-features": (lambda: study_tables.features_table("point-mass"), [STUDY_PAGE]),
    "pvdr-judged": (pvdr_tables.judged_table, [PVDR_PAGE]),
    "pvdr-online": (pvdr_tables.online_table, [PVDR_PAGE]),
    "pvdr-ways": (lambda: pvdr_tables.actions_table("ways.csv"), [PVDR_PAGE]),
    "pvdr-films": (pvdr_tables.films_table, [PVDR_PAGE]),
    "pvdr-imagined": (pvdr_tables.imagined_table, [PVDR_PAGE]),
    "pvdr-horizons": (lambda: pvdr_tables.models_table("future"), [PVDR_PAGE]),
    "pvdr-videos": (lambda: pvdr_tables.models_table("videos"), [PVDR_PAGE]),
    "pvdr-plans": (pvdr_tables.plans_table, [PVDR_PAGE]),
    "pvdr-alignment": (pvdr_tables.alignment_table, [PVDR_PAGE]),
    "pvdr-actions": (lambda: pvdr_tables.actions_table("actions.csv"), [PVDR_PAGE]),
    "pvdr-distances": (pvdr_tables.distances_table, [PVDR_PAGE]),
    "aime-walker": (lambda: aime_tables.aime_table("walker", "noisy.csv", "position"), [AIME_PAGE]),
    "aime-walker-mdp": (lambda: aime_tables.aime_table("walker", "long.csv", "state"), [AIME_PAGE]),
    "aime-walker-long": (lambda: aime_tables.aime_table("walker", "long.csv", "position"), [AIME_PAGE]),
    "aime-walker-larger": (
        lambda: aime_tables.aime_table("walker", "256-mix.csv", "position"),
        [AIME_PAGE],
    ),
    "aime-walker-demos": (lambda: aime_tables.demos_table("walker", "256-mix-demos.csv"), [AIME_PAGE]),
    "aime-walker-longer": (
        lambda: aime_tables.imitation_table("walker", "run-replay", "run", "state"),
        [AIME_PAGE],
    ),
    "bench-planning": (lambda: bench_table("planning"), [PVDR_PAGE]),
    "aime-cheetah": (lambda: aime_tables.aime_table("cheetah", "quick.csv", "state"), [AIME_PAGE]),
    "aime-walker-online": (lambda: aime_tables.online_table("walker"), [AIME_PAGE]),
    "aime-walker-noiseless": (
        lambda: aime_tables.aime_table("walker", "quick.csv", "position"),
        [AIME_PAGE],
    ),
    **theory_tables.TABLES,
}


def with_table(text: str, name: str, table: str) -> str:
    """The page with what stands between the markers of `name` replaced."""
    start, end = f"<!-- table:{name} -->", f"<!-- /table:{name} -->"
    return re.sub(
        f"{re.escape(start)}.*?{re.escape(end)}", lambda _: f"{start}\n{table}\n{end}", text, flags=re.DOTALL
    )


def main() -> None:
    """Rewrite every generated table."""
    for name, (make, pages) in TABLES.items():
        for page in pages:
            page.write_text(with_table(page.read_text(), name, make()))


if __name__ == "__main__":
    main()
