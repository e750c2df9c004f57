"""`latentctx demo`, `pretrain`, `finetune`, `evaluate` and `report`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from latentctx_agents.cli.shared import check_count, check_file, check_folder, one_thread
from latentctx_agents.cli.tables import print_table
from latentctx_agents.progress import training_bar
from latentctx_datasets import View

if TYPE_CHECKING:  # the command line starts without torch
    from latentctx_agents.aime.agent import AimeAgent
    from latentctx_agents.policy_folder import FinetunedPolicy


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Success of a finetuned policy on the context of its demonstrations, or returns of an agent that imitates (AIME)."""

    # folder that `latentctx finetune` wrote, or the agent of `latentctx imitate`
    policy: tyro.conf.Positional[Path]
    episodes: int = 100  # evaluation episodes, all at once
    seed: int | None = None  # of the first episode; by default that of the studies
    gif: Path | None = None  # film of an episode that begins as the first one


@dataclass(frozen=True, kw_only=True)
class Report:
    """One HTML page of a run or a study: tables, plots, films, and the command behind each number.

    The page holds all it needs and asks for nothing else.
    """

    source: tyro.conf.Positional[Path] = Path("runs/demo")  # folder of results CSVs, at any depth, or one CSV
    out: Path | None = None  # the page; by default report.html in the folder, or beside the CSV


def demo(words: list[str]) -> None:
    """Run or resume the demo and print its table."""
    from latentctx_agents.studies.demo import QUICK, DemoConfig, run_demo

    @dataclass(frozen=True, kw_only=True)
    class Demo:
        """The main job end to end: demonstrations with a hidden goal -> encoder -> policies -> evaluation.

        A run that was stopped continues; a finished one is shown again. The defaults are the QUICK preset.
        """

        config: Annotated[DemoConfig, tyro.conf.arg(name="")] = QUICK
        out: Path = Path("runs/demo")  # run folder
        workers: int | None = None  # processes; by default one a core

    arguments = tyro.cli(Demo, args=words, prog="latentctx demo")
    summary = run_demo(arguments.config, arguments.out, workers=arguments.workers)
    show(summary, arguments.config.finetune.demos, arguments.config.goals)
    print(f"\nreport: {arguments.out / 'report.html'}")


def show(summary: dict, demos: int, goals: int) -> None:  # type: ignore[type-arg]
    """Print a demo's table."""
    from latentctx_agents.plots import LABELS

    ceiling = summary["success"]["expert"]
    title = f"Success with {demos} demonstrations of each of {goals} unseen hidden goals"
    rows = []
    for name, value in summary["success"].items():
        low, high = summary["ci95"][name]
        share = f"{value / ceiling:.2f}" if ceiling else "-"
        rows.append((LABELS[name], f"{value:.2f}", f"[{low:.2f}, {high:.2f}]", share))
    print_table(("method", "success", "95 % interval", "of the expert"), rows, title=title)
    stages = ", ".join(f"{name} {value:.0f} s" for name, value in summary["seconds"].items())
    print(f"time: {stages}")


def pretrain(words: list[str]) -> None:
    """Pretrain one encoder."""
    from latentctx_agents import pretrain as module
    from latentctx_datasets import collect

    @dataclass(frozen=True, kw_only=True)
    class Pretrain:
        """Train an encoder on demonstrations of many hidden contexts, then freeze and save it."""

        config: Annotated[module.PretrainConfig, tyro.conf.arg(name="")]
        out: Path = Path("runs/pretrain")  # run folder; the encoder goes to <out>/encoder
        device: str = "cpu"  # torch device

    arguments = tyro.extras.overridable_config_cli(
        {
            "quick": ("two cores, minutes: 47 px, 4,000 steps", Pretrain(config=module.QUICK)),
            "paper": ("arXiv 2305.16985: 84 px, 100,000 steps, for a GPU", Pretrain(config=module.PAPER)),
        },
        args=words,
        prog="latentctx pretrain",
    )
    check_folder(arguments.out)
    if not (arguments.out / "encoder").is_dir():
        collect.ensure(arguments.config.dataset)
    with training_bar(f"pretrain {arguments.config.objective}", arguments.config.optimizer.steps) as advance:
        module.pretrain(arguments.config, arguments.out, device=arguments.device, on_step=advance)
    print(f"encoder: {arguments.out / 'encoder'}")


def finetune(words: list[str]) -> None:
    """Finetune one policy."""
    from latentctx_agents import cells
    from latentctx_agents.finetune import QUICK, FinetuneConfig
    from latentctx_agents.policy_folder import FILES
    from latentctx_agents.pretrain import view_of
    from latentctx_datasets import collect
    from latentctx_envs.encoders import load_encoder
    from latentctx_envs.encoders.stateful import refuse_memory
    from latentctx_envs.replacing import refuse_foreign

    @dataclass(frozen=True, kw_only=True)
    class Finetune:
        """Clone a policy for one new hidden context from a few demonstrations."""

        config: Annotated[FinetuneConfig, tyro.conf.arg(name="")] = QUICK
        # directory, zoo name or hub id; without one the policy sees true positions
        encoder: str | None = None
        scratch: bool = False  # train from pixels without the encoder's weights (only its shape is used)
        dataset: str = "latentctx/point-mass/finetune-v0"  # demonstrations of some goals; one's own, too
        goal: int = 0  # index of the hidden context in the dataset
        # folder for the policy; by default runs/finetune/<method>-goal<n>-demos<n>-seed<n>
        out: Path | None = None

    arguments = tyro.cli(Finetune, args=words, prog="latentctx finetune")
    if arguments.scratch and arguments.encoder is None:
        raise ValueError("--scratch needs --encoder: it takes the shape and the mean image of one.")
    view, method, record = View(), cells.STATES, None
    if arguments.encoder is not None:
        record = load_encoder(arguments.encoder)
        refuse_memory(record, "finetuning")
        view = view_of(record)
        method = cells.SCRATCH if arguments.scratch else str(record.training_record.get("objective"))
    config = arguments.config
    name = f"{method}-goal{arguments.goal}-demos{config.demos}-seed{config.seed}"
    out = arguments.out or Path("runs/finetune") / name
    refuse_foreign(out, own=FILES, what="a policy")
    check_folder(out)
    collect.ensure(arguments.dataset)
    cell = cells.Cell(
        method=method,
        encoder=arguments.encoder,
        dataset=arguments.dataset,
        goal=arguments.goal,
        view=view,
        finetune=config,
        episodes=1,
        directory=str(out),
    )
    with training_bar(f"finetune {method}", config.optimizer.steps) as advance:
        policy, loss = cells.finetune_policy(cell, advance, encoder=record)
    policy.save(out)
    print(f"{method} policy for context {policy.card.context}, last loss {loss:.4f}: {out}")


def evaluate(words: list[str]) -> None:
    """Evaluate what was trained."""
    arguments = tyro.cli(Evaluate, args=words, prog="latentctx evaluate")
    check_count("episodes", arguments.episodes)
    check_file(arguments.gif, ".gif")
    trained = _trained(arguments.policy)
    begins = {} if arguments.seed is None else {"seed": arguments.seed}
    print(json.dumps(trained.measured(arguments.episodes, **begins)))
    if arguments.gif is not None:
        from latentctx_datasets.sheet import write_gif

        arguments.gif.parent.mkdir(parents=True, exist_ok=True)
        write_gif([[trained.film(trained.title, **begins)]], arguments.gif)
        print(f"film: {arguments.gif}")


def _trained(folder: Path) -> "FinetunedPolicy | AimeAgent":
    """What a folder holds that can be measured and filmed."""
    from latentctx_agents.model_folder import kind_of

    kind = kind_of(folder)
    if kind == "goal agent":
        raise ValueError(f"{folder} is an agent of PVDR: `latentctx pvdr act --agent {folder}` measures it.")
    if kind == "AIME agent":
        from latentctx_agents.aime.agent import load_agent

        one_thread()
        return load_agent(folder)[0]
    from latentctx_agents.policy_folder import FinetunedPolicy

    return FinetunedPolicy.load(folder)


def report(words: list[str]) -> None:
    """Write a report."""
    arguments = tyro.cli(Report, args=words, prog="latentctx report")
    check_file(arguments.out)
    from latentctx_agents.report import write_report

    print(f"report: {write_report(arguments.source, arguments.out)}")
