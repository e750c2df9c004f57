"""`latentctx demonstrator train | evaluate`."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tqdm import tqdm

from latentctx_agents.cli.shared import check_csv
from latentctx_agents.demonstrator_publishing import publish
from latentctx_agents.demonstrators import DemonstratorConfig, train
from latentctx_agents.results import write_results
from latentctx_agents.returns import PAPER_RETURNS, measure
from latentctx_datasets.demonstrators.locomotion import ENV_IDS, TrainedPolicy


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a locomotion demonstrator with PPO; the same command goes on with a killed training."""

    training: tyro.conf.OmitArgPrefixes[DemonstratorConfig]
    out: Path | None = None  # run folder; by default runs/demonstrators/<task>
    publish: bool = False  # put the finished policy where demonstrators ship, with a card


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Mean return of a demonstrator over episodes of 500 decisions."""

    source: tyro.conf.Positional[str]  # a task such as cheetah-run, or a file of snapshots
    task: str | None = None  # of a file
    snapshot: int = -1  # which snapshot; the last is the expert
    episodes: int = 100
    results: Path | None = None  # also write the measurements to this CSV


def demonstrator(words: list[str]) -> None:
    """Run one of the demonstrator commands."""
    choices = (
        Annotated[Train, tyro.conf.subcommand("train")]
        | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    )
    arguments = tyro.cli(
        choices,  # type: ignore[arg-type]
        args=words,
        prog="latentctx demonstrator",
        description="Trained policies that make the demonstrations of the cheetah and the walker.",
    )
    if isinstance(arguments, Train):
        _train(arguments)
    else:
        _evaluate(arguments)


def _train(arguments: Train) -> None:
    config = arguments.training
    folder = arguments.out if arguments.out is not None else Path("runs/demonstrators") / config.task
    with tqdm(
        total=config.decisions,
        unit="decision",
        unit_scale=True,
        desc=config.task,
        mininterval=0.1 if sys.stderr.isatty() else 60.0,  # a file needs no line for every update
        delay=1.0,  # what is refused shows no bar
    ) as bar:

        def show(done: int, metrics: dict[str, float]) -> None:
            bar.set_postfix({name: f"{value:.2f}" for name, value in metrics.items()}, refresh=False)
            bar.update(done - bar.n)

        file = train(config, folder, on_rollout=show)
    print(f"snapshots: {file}")
    if arguments.publish:
        print(f"published: {publish(config, file)}")


def _evaluate(arguments: Evaluate) -> None:
    task = arguments.task if arguments.task is not None else arguments.source
    if task not in ENV_IDS:
        raise ValueError(f"--task must be one of {', '.join(ENV_IDS)}; got {task!r}.")
    check_csv(arguments.results)
    rows = measure(TrainedPolicy(arguments.source, arguments.snapshot), task, episodes=arguments.episodes)
    if arguments.results is not None:
        write_results(arguments.results, rows)
    found = {f"{row.metric} ({row.setting['reward_mode']})": round(row.value, 1) for row in rows}
    print(
        json.dumps({"task": task, "episodes": arguments.episodes, "paper": PAPER_RETURNS.get(task), **found})
    )
