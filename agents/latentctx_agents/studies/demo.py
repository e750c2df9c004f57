"""The main job end to end: demonstrations -> encoder -> wrapped env -> finetuned policies -> evaluation."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from latentctx_agents import plots, pretrain
from latentctx_agents.cells import EXPERT, SCRATCH, STATES, Cell, run_cell
from latentctx_agents.finetune import QUICK as QUICK_FINETUNE
from latentctx_agents.finetune import FinetuneConfig
from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.policy_folder import FinetunedPolicy
from latentctx_agents.pretrain import PretrainConfig
from latentctx_agents.probe import PROBE, probe_error, probe_features
from latentctx_agents.progress import training_bar
from latentctx_agents.report import write_report
from latentctx_agents.results import Measurement, write_results
from latentctx_agents.runs import RunFolder, kept_json, read_json, read_metrics, write_json
from latentctx_agents.stats import bootstrap_interval
from latentctx_agents.workers import StudyWorkers
from latentctx_datasets import collect, open_store, sheet
from latentctx_datasets.recipes import RECIPES
from latentctx_envs.cores import available_cores
from latentctx_envs.point_mass.task import TARGET_RADIUS

ENCODERS = ("inverse_dynamics", "random", "behavior_cloning")
WAIT_ORDER = ("random", "behavior_cloning", "inverse_dynamics")  # shortest first, so that no process idles
LEARNERS = ("inverse_dynamics", "behavior_cloning", SCRATCH, STATES)


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """The whole study. All methods share data, encoder shape, steps and evaluation goals.

    Raises:
        ValueError: a number is out of range.
    """

    pretrain: PretrainConfig = field(default_factory=lambda: pretrain.QUICK)
    finetune: FinetuneConfig = field(default_factory=lambda: QUICK_FINETUNE)
    finetune_dataset: str = "latentctx/point-mass/finetune-v0"
    goals: int = 5  # unseen goals; the first five are the authors'
    episodes: int = 40  # evaluation episodes of each goal
    probe: OptimizerConfig = field(default_factory=lambda: PROBE)  # of the state probe on frozen features
    seed: int = 0  # of pretraining, choice of demonstrations and heads; evaluation starts are always the same

    def __post_init__(self) -> None:
        """Refuse impossible numbers and let the one seed decide everything."""
        if self.goals < 1 or self.episodes < 1:
            raise ValueError("goals and episodes start at 1.")
        object.__setattr__(self, "pretrain", dataclasses.replace(self.pretrain, seed=self.seed))
        object.__setattr__(self, "finetune", dataclasses.replace(self.finetune, seed=self.seed))

    @property
    def preset(self) -> str:
        """The preset's name: "quick" if only the seed differs from QUICK, else "custom"."""
        return "quick" if dataclasses.replace(self, seed=QUICK.seed) == QUICK else "custom"


QUICK = DemoConfig()


def run_demo(config: DemoConfig, folder: Path, *, workers: int | None = None) -> dict[str, Any]:
    """Run or resume the study in a folder and return its summary; a finished one is read, not run again.

    It writes summary.json, results.csv, success.png, learning.png, probe.png, rollouts.gif and report.html.

    Args:
        config: the study.
        folder: run folder; what is already there is not done again.
        workers: processes; by default one a core.

    Raises:
        ValueError: the folder holds a run with another config.
    """
    RunFolder(folder, config)
    if (folder / "summary.json").exists():
        return read_json(folder / "summary.json")
    seconds: dict[str, float] = kept_json(folder / "seconds.json", dict)
    count = workers if workers is not None else available_cores()
    with _stage("data", seconds, folder):
        collect.build(config.pretrain.dataset)
        collect.build(config.finetune_dataset)
        open_store(config.pretrain.dataset, config.pretrain.view, workers=count)
    with StudyWorkers(count) as pool:
        with _stage("learn", seconds, folder):
            results = _learn(config, folder, pool)
        with _stage("report", seconds, folder):
            probes = _probe_all(config, folder, pool)
            write_gif(folder)
    summary = summarise(results, seconds, config.preset)
    write_results(folder / "results.csv", measurements(config, results, probes))
    _draw(config, folder, summary, probes)
    write_json(folder / "summary.json", summary)  # last: the run is whole
    write_report(folder)
    return summary


@contextlib.contextmanager
def _stage(name: str, seconds: dict[str, float], folder: Path) -> Iterator[None]:
    """Add the time of a stage to `seconds.json`; a resumed run adds up."""
    began = time.monotonic()
    try:
        yield
    finally:
        seconds[name] = round(seconds.get(name, 0.0) + time.monotonic() - began, 1)
        write_json(folder / "seconds.json", seconds)


def encoder_run(folder: Path, objective: str) -> Path:
    """Where a study pretrains with an objective."""
    return folder / "pretrain" / objective


def _learn(config: DemoConfig, folder: Path, pool: Executor) -> list[dict[str, Any]]:
    """Pretrain all encoders and run all cells; a cell starts as soon as its encoder is there."""
    runs = {
        objective: pool.submit(
            pretrain_with_bar,
            dataclasses.replace(config.pretrain, objective=objective),
            encoder_run(folder, objective),
            position,
        )
        for position, objective in enumerate(ENCODERS)
    }
    cells: list[Future[dict[str, Any]]] = []
    for objective, run in sorted(runs.items(), key=lambda item: WAIT_ORDER.index(item[0])):
        run.result()
        methods = (SCRATCH, STATES, EXPERT) if objective == "random" else (objective,)
        cells += [pool.submit(run_cell, cell) for cell in cells_of(config, folder, methods)]
    label = "finetune and evaluate"
    for cell in tqdm(as_completed(cells), total=len(cells), desc=label, unit="cell", delay=1):
        cell.result()
    return [cell.result() for cell in cells]


def pretrain_with_bar(config: PretrainConfig, directory: Path, position: int) -> None:
    """Pretrain in this process with a progress bar on its own line."""
    hidden = (directory / "encoder").is_dir() or config.objective == "random"
    label = f"pretrain {config.objective}"
    with training_bar(label, config.optimizer.steps, position=position, hidden=hidden) as advance:
        pretrain.pretrain(config, directory, on_step=advance)


def cells_of(config: DemoConfig, folder: Path, methods: tuple[str, ...]) -> list[Cell]:
    """What a study finetunes and evaluates: every method on every goal."""
    return [
        Cell(
            method=method,
            encoder=_cell_encoder(folder, method),
            dataset=config.finetune_dataset,
            goal=goal,
            view=config.pretrain.view,
            finetune=config.finetune,
            episodes=config.episodes,
            directory=str(folder / "cells" / f"{method}-{goal}"),
        )
        for method in methods
        for goal in range(config.goals)
    ]


def _cell_encoder(folder: Path, method: str) -> str | None:
    if method in (STATES, EXPERT):
        return None
    objective = "random" if method == SCRATCH else method
    return str(encoder_run(folder, objective) / "encoder")


def _probe_all(config: DemoConfig, folder: Path, pool: Executor) -> dict[str, float]:
    jobs = {
        name: pool.submit(probe_encoder, config.pretrain, config.probe, encoder_run(folder, name))
        for name in ENCODERS
    }
    bar = tqdm(jobs.items(), desc="probe the encoders", unit="encoder", delay=1)
    return {name: job.result() for name, job in bar}


def probe_encoder(config: PretrainConfig, optimizer: OptimizerConfig, run: Path) -> float:
    """RMS error [m] of the position read from a run's encoder on held-out episodes; measured once."""

    def measured() -> dict[str, float]:
        store = open_store(config.dataset, config.view)
        features, rows = probe_features(store, run / "encoder")
        positions = np.asarray(store.observations[: len(features), :2])
        return {"rmse_m": probe_error(features, positions, rows, config=optimizer)}

    return float(kept_json(run / "probe.json", measured)["rmse_m"])


def summarise(results: list[dict[str, Any]], seconds: dict[str, float], preset: str) -> dict[str, Any]:
    """Mean success and its 95 % bootstrap interval over goals and episodes, for each method."""
    success, intervals = {}, {}
    for method in (*LEARNERS, EXPERT):
        table = np.array([r["success"] for r in results if r["method"] == method], dtype=float)
        success[method] = round(float(table.mean()), 4)
        intervals[method] = [round(end, 4) for end in bootstrap_interval(table)]
    total = round(sum(seconds.values()), 1)
    return {
        "success": success,
        "ci95": intervals,
        "seconds": {**seconds, "total": total},
        "preset": preset,
    }


def measurements(
    config: DemoConfig, results: list[dict[str, Any]], probes: dict[str, float]
) -> list[Measurement]:
    """One row for each cell's success and each encoder's probe error."""
    setting = {
        "demos": config.finetune.demos,
        "pretrain": config.pretrain.contexts,
        "preset": config.preset,
    }
    common: dict[str, Any] = {
        "study": "demo",
        "world": RECIPES[config.pretrain.dataset].env_id,
        "seed": config.seed,
    }
    rows = [
        Measurement(
            dataset=config.finetune_dataset,
            method=result["method"],
            setting={**setting, "goal": result["goal"], "episodes": len(result["success"])},
            metric="success",
            value=float(np.mean(result["success"])),
            **common,
        )
        for result in results
    ]
    return rows + [
        Measurement(
            dataset=config.pretrain.dataset,
            method=name,
            setting=setting,
            metric="probe_rmse_m",
            value=error,
            **common,
        )
        for name, error in probes.items()
    ]


def write_gif(folder: Path, goals: int = 3) -> None:
    """`rollouts.gif`, unless it is there: a row for each encoder, a column a goal."""
    if (folder / "rollouts.gif").exists():
        return
    rows = []
    for method in ("inverse_dynamics", "behavior_cloning"):
        paths = [folder / "cells" / f"{method}-{goal}" / "policy" for goal in range(goals)]
        policies = [FinetunedPolicy.load(path) for path in paths if path.is_dir()]
        bar = tqdm(policies, desc=f"film {method}", unit="episode", delay=1)
        rows.append([policy.film(plots.LABELS[method]) for policy in bar])
    sheet.write_gif(rows, folder / "rollouts.gif", fps=12)


def _draw(config: DemoConfig, folder: Path, summary: dict[str, Any], probes: dict[str, float]) -> None:
    demos, contexts = config.finetune.demos, config.pretrain.contexts
    plots.success_bars(
        summary["success"],
        summary["ci95"],
        summary["success"][EXPERT],
        folder / "success.png",
        f"{demos} demonstrations of each of {config.goals} unseen hidden goals",
    )
    curves = {name: read_metrics(encoder_run(folder, name)) for name in ENCODERS if name != "random"}
    plots.learning_curves(curves, folder / "learning.png", f"Pretraining on {contexts} hidden goals")
    plots.probe_bars(probes, TARGET_RADIUS, folder / "probe.png", "Position read from frozen features")
