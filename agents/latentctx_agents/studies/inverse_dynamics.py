"""The study of arXiv 2305.16985: five objectives and four baselines, by demonstrations, data, seeds and horizons.

A run folder holds one setting (world, frames, training, evaluation); which of its cells are run is asked for each time,
and what is there already is not done again. The rows of all cells ever run in the folder are in its results.csv.
"""

import dataclasses
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from latentctx_agents import finetune, pretrain
from latentctx_agents.cells import EXPERT, SCRATCH, STATES, Cell, run_cell, task_of
from latentctx_agents.finetune import FinetuneConfig
from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.pretrain import PretrainConfig
from latentctx_agents.probe import PROBE, cross_unexplained, probe_unexplained
from latentctx_agents.representations import OBJECTIVES
from latentctx_agents.results import Measurement, add_results
from latentctx_agents.runs import RunFolder
from latentctx_agents.stats import bootstrap_interval
from latentctx_agents.studies.demo import one_thread
from latentctx_datasets import View, collect, open_store
from latentctx_envs.cores import available_cores
from latentctx_envs.encoders import load_encoder

STUDY = "inverse_dynamics"
RANDOM = "random"
METHODS: tuple[str, ...] = (*OBJECTIVES, RANDOM, SCRATCH, STATES, EXPERT)
SIGHTLESS = (STATES, EXPERT)  # see no frames
PRETRAINED = (*OBJECTIVES, RANDOM, SCRATCH)  # have an encoder of the study's own, trained or not


@dataclass(frozen=True, kw_only=True)
class World:
    """The datasets of a world."""

    pretrain: tuple[tuple[int, str], ...]  # (contexts, dataset), the smaller ones first
    finetune: str
    demos: tuple[int, ...]  # the paper's S, M, L and XL
    sizes: tuple[int, ...]  # the paper's pretraining sets S, M and L [contexts]


WORLDS: dict[str, World] = {
    "point-mass": World(
        pretrain=((1000, "latentctx/point-mass/expert-v0"),),
        finetune="latentctx/point-mass/finetune-v0",
        demos=(1, 2, 5, 10),
        sizes=(10, 100, 1000),
    ),
    "pick-place": World(
        pretrain=(
            (10, "latentctx/pick-place/expert-small-v0"),
            (100, "latentctx/pick-place/expert-medium-v0"),
            (1000, "latentctx/pick-place/expert-v0"),
        ),
        finetune="latentctx/pick-place/finetune-v0",
        demos=(2, 5, 10, 20),
        sizes=(10, 100, 1000),
    ),
    "door": World(
        pretrain=(
            (10, "latentctx/door/expert-small-v0"),
            (100, "latentctx/door/expert-medium-v0"),
            (1000, "latentctx/door/expert-v0"),
        ),
        finetune="latentctx/door/finetune-v0",
        demos=(2, 5, 10, 20),
        sizes=(10, 100, 1000),
    ),
    "ml45": World(
        pretrain=(
            (100, "latentctx/ml45/expert-small-v0"),
            (1000, "latentctx/ml45/expert-medium-v0"),
            (10_000, "latentctx/ml45/expert-v0"),
        ),
        finetune="latentctx/ml45/finetune-v0",
        demos=(2, 5, 10, 20),
        sizes=(100, 1000, 10_000),
    ),
    "r3m": World(
        pretrain=(
            (100, "latentctx/r3m/expert-small-v0"),
            (1000, "latentctx/r3m/expert-medium-v0"),
            (10_000, "latentctx/r3m/expert-v0"),
        ),
        finetune="latentctx/r3m/finetune-v0",
        demos=(2, 5, 10, 20),
        sizes=(100, 1000, 10_000),
    ),
}


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """What all cells of a run folder share.

    Raises:
        ValueError: there is no such world, or a number is out of range.
    """

    world: str = "point-mass"
    pretrain_dataset: str | None = (
        None  # instead of the world's own, such as one with the finetuning tasks in it
    )
    pretrain: PretrainConfig = field(
        default_factory=lambda: pretrain.QUICK
    )  # its dataset and arm are overridden
    finetune: FinetuneConfig = field(
        default_factory=lambda: finetune.QUICK
    )  # its demonstrations and seed as well
    goals: int = 5  # finetuning tasks; of the point mass the first five are the authors'
    episodes: int = 40  # evaluation episodes of each goal
    held_out: int = 10  # demonstrations of each goal for the cloning loss on what was not cloned
    probe: OptimizerConfig = field(default_factory=lambda: PROBE)  # of what can be read from the encoders
    halved: tuple[str, ...] = ()  # objectives that are trained with half the batch and half the rate

    def __post_init__(self) -> None:
        """Refuse what cannot be studied in words."""
        if self.world not in WORLDS:
            raise ValueError(f"world must be one of {', '.join(WORLDS)}; got {self.world!r}.")
        if self.goals < 1 or self.episodes < 1 or self.held_out < 0:
            raise ValueError("goals and episodes start at 1, held_out at 0.")

    @property
    def preset(self) -> str:
        """Name of these settings in the results: "quick", "paper" or "custom"."""
        names = [name for name, (_, config) in PRESETS.items() if config == self]
        return "custom" if not names else "paper" if names[0].endswith("-paper") else "quick"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Which cells are run: all combinations. What an objective or a baseline does not depend on is run once.

    Raises:
        ValueError: an unknown method, an empty axis, or a number below its range.
    """

    methods: tuple[str, ...] = METHODS
    demos: tuple[int, ...] = (2,)  # demonstrations of the new context
    contexts: tuple[int, ...] = (1000,)  # that are pretrained on
    n_step: tuple[int, ...] = (1,)  # distance of the two frames of a multi-step objective [steps]
    goal_visible: tuple[bool, ...] = (False,)  # whether the frames show the context
    seeds: tuple[int, ...] = (0, 1, 2)  # of pretraining, choice of demonstrations and heads
    encoders: tuple[
        str, ...
    ] = ()  # further frozen encoders: directories, or names of the zoo; no hub is asked
    analyse: bool = False  # what can be read from the encoders: positions, and one another

    def __post_init__(self) -> None:
        """Refuse what is no cell in words."""
        unknown = sorted(set(self.methods) - set(METHODS))
        if unknown:
            raise ValueError(f"methods are {', '.join(METHODS)}; got {', '.join(unknown)}.")
        axes = {
            name: getattr(self, name)
            for name in ("methods", "demos", "contexts", "n_step", "goal_visible", "seeds")
        }
        empty = [name for name, values in axes.items() if not values]
        names = [frozen_name(encoder) for encoder in self.encoders]
        if len({*names, *METHODS}) < len(names) + len(METHODS):
            raise ValueError(f"encoders need names of their own; got {', '.join(names)}.")
        if empty or min(*self.demos, *self.contexts, *self.n_step) < 1 or min(self.seeds) < 0:
            raise ValueError("every axis needs a value; demos, contexts and n_step start at 1, seeds at 0.")

    def arms(self) -> list["Arm"]:
        """One for each encoder, and one for each seed of a method without an encoder."""
        found: dict[Arm, None] = {}
        for seed in self.seeds:
            for method in (*self.methods, *map(frozen_name, self.encoders)):
                for contexts in self.contexts:
                    for n_step in self.n_step:
                        for visible in self.goal_visible:
                            found[Arm.of(method, contexts, n_step, visible, seed, max(self.contexts))] = None
        return [arm for arm in found if arm.n_step in self.n_step]


def frozen_name(encoder: str) -> str:
    """What a further encoder is called in the results: its directory's name, or that in the zoo."""
    return Path(encoder).name


@dataclass(frozen=True, kw_only=True, order=True)
class Arm:
    """A method with what decides its encoder."""

    method: str
    contexts: int
    n_step: int
    goal_visible: bool
    seed: int

    @classmethod
    def of(
        cls, method: str, contexts: int, n_step: int, goal_visible: bool, seed: int, largest: int
    ) -> "Arm":
        """The arm, without what makes no difference to the method."""
        learns = method in OBJECTIVES
        return cls(
            method=method,
            contexts=contexts if learns else largest,
            n_step=n_step if learns and OBJECTIVES[method].multi_step else 1,
            goal_visible=goal_visible and method not in SIGHTLESS,
            seed=seed,
        )

    @property
    def name(self) -> str:
        """Of its folder."""
        sight = "visible" if self.goal_visible else "hidden"
        return f"{self.method}-{self.contexts}-n{self.n_step}-{sight}-seed{self.seed}"


def dataset_of(config: StudyConfig, contexts: int) -> str:
    """The smallest pretraining set of the world that has so many contexts, or the one that is named instead.

    Raises:
        ValueError: none has.
    """
    if config.pretrain_dataset is not None:
        return config.pretrain_dataset
    for size, dataset in WORLDS[config.world].pretrain:
        if size >= contexts:
            return dataset
    raise ValueError(f"{config.world} has {size} contexts to pretrain on; asked for {contexts}.")


def pretraining(config: StudyConfig, arm: Arm) -> PretrainConfig:
    """How an arm's encoder is trained; scratch takes the shape and the mean image of an untrained one."""
    optimizer = config.pretrain.optimizer
    if arm.method in config.halved:
        optimizer = dataclasses.replace(
            optimizer, batch_size=optimizer.batch_size // 2, learning_rate=optimizer.learning_rate / 2
        )
    return dataclasses.replace(
        config.pretrain,
        objective=arm.method if arm.method in OBJECTIVES else RANDOM,
        dataset=dataset_of(config, arm.contexts),
        contexts=arm.contexts,
        n_step=arm.n_step,
        goal_visible=arm.goal_visible,
        optimizer=optimizer,
        seed=arm.seed,
    )


def run_study(config: StudyConfig, grid: Grid, folder: Path, *, workers: int | None = None) -> Path:
    """Run or resume the cells of a grid; returns the CSV, which grows as arms are through.

    Args:
        config: what all cells of the folder share.
        grid: which cells.
        folder: run folder; what is already there is not done again.
        workers: processes; by default one a core.

    Raises:
        ValueError: the folder holds a study with another config.
    """
    arms = grid.arms()
    for arm in arms:
        dataset_of(config, arm.contexts)  # refuses before anything is written
    frozen = {frozen_name(name): name for name in grid.encoders}
    views = {arm: sight(config, arm, frozen.get(arm.method)) for arm in arms}
    RunFolder(folder, config)
    count = workers if workers is not None else available_cores()
    _prepare(config, views, count)
    file = folder / "results.csv"
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=one_thread) as pool:
        jobs: dict[Future[list[dict[str, Any]]], Arm] = {
            pool.submit(run_arm, config, arm, views[arm], grid.demos, folder, frozen.get(arm.method)): arm
            for arm in arms
        }
        for job in tqdm(as_completed(jobs), total=len(jobs), desc=config.world, unit="arm"):
            add_results(file, _rows(config, jobs[job], job.result()))
        if grid.analyse:
            looks = {
                pool.submit(analyse, config, arm, _partners(arm, arms), folder): arm
                for arm in arms
                if _is_encoder(arm)
            }
            for look in tqdm(as_completed(looks), total=len(looks), desc="analysis", unit="encoder"):
                add_results(file, _rows(config, looks[look], look.result()))
    return file


def sight(config: StudyConfig, arm: Arm, frozen: str | None = None) -> View | None:
    """The frames that an arm sees; None if it sees none."""
    if arm.method in SIGHTLESS:
        return None
    view = pretraining(config, arm).view
    return (
        view if frozen is None else dataclasses.replace(view, image_size=load_encoder(frozen).input_shape[0])
    )


def _prepare(config: StudyConfig, views: dict[Arm, View | None], workers: int) -> None:
    """Datasets and frames, before processes share them."""
    task = WORLDS[config.world].finetune
    wanted: set[tuple[str, View]] = set()
    for arm, view in views.items():
        if view is not None:
            wanted |= {
                (task, view),
                *([(dataset_of(config, arm.contexts), view)] if arm.method in PRETRAINED else []),
            }
    for dataset in sorted({task, *(dataset for dataset, _ in wanted)}):
        collect.build(dataset)
    for dataset, view in sorted(wanted, key=repr):
        open_store(dataset, view, workers=workers)


def run_arm(
    config: StudyConfig,
    arm: Arm,
    view: View | None,
    demos: tuple[int, ...],
    folder: Path,
    frozen: str | None = None,
) -> list[dict[str, Any]]:
    """Pretrain an arm's encoder, unless it is a frozen one, and run its cells; metric, value and setting of each."""
    encoder = frozen
    if arm.method in PRETRAINED:
        pretrain.pretrain(pretraining(config, arm), encoder_run(folder, arm))
        encoder = str(encoder_run(folder, arm) / "encoder")
    found: list[dict[str, Any]] = []
    for count in demos if arm.method != EXPERT else (0,):
        for goal in range(config.goals):
            cell = Cell(
                method=arm.method,
                encoder=encoder,
                dataset=WORLDS[config.world].finetune,
                goal=goal,
                view=view or View(),
                finetune=dataclasses.replace(config.finetune, demos=max(count, 1), seed=arm.seed),
                episodes=config.episodes,
                directory=str(folder / "cells" / arm.name / f"{count}-{goal}"),
                held_out=config.held_out,
                stored=True,
                keep_policy=False,
            )
            result = run_cell(cell)
            setting = {"demos": count, "goal": goal, "episodes": config.episodes}
            for metric, value in _metrics(result):
                found.append({"metric": metric, "value": value, "setting": setting})
    return found


def _metrics(result: dict[str, Any]) -> Iterator[tuple[str, float]]:
    yield "success", float(np.mean(result["success"]))
    if result["held_out_loss"] is not None:
        yield "clone_loss", result["loss"]
        yield "clone_loss_held_out", result["held_out_loss"]


def encoder_run(folder: Path, arm: Arm) -> Path:
    """Where an arm's encoder is trained."""
    return folder / "encoders" / arm.name


def _is_encoder(arm: Arm) -> bool:
    return arm.method in OBJECTIVES or arm.method == RANDOM


def _partners(arm: Arm, arms: list[Arm]) -> list[Arm]:
    """The encoders of other methods that differ in nothing else."""
    same = dataclasses.replace(arm, method="")
    return [other for other in arms if _is_encoder(other) and dataclasses.replace(other, method="") == same]


def analyse(config: StudyConfig, arm: Arm, partners: list[Arm], folder: Path) -> list[dict[str, Any]]:
    """What can be read from an encoder: the position, and the features of the others (the paper's Fig 7 and 9)."""
    store = open_store(pretraining(config, arm).dataset, pretraining(config, arm).view)
    encoder = encoder_run(folder, arm) / "encoder"
    rows = [
        {
            "metric": "position_unexplained",
            "value": probe_unexplained(store, encoder, config.probe),
            "setting": {},
        }
    ]
    for other in partners:
        if other != arm:
            value = cross_unexplained(store, encoder, encoder_run(folder, other) / "encoder", config.probe)
            rows.append({"metric": "features_unexplained", "value": value, "setting": {"of": other.method}})
    return rows


def _rows(config: StudyConfig, arm: Arm, found: list[dict[str, Any]]) -> Iterator[Measurement]:
    world = WORLDS[config.world]
    common: dict[str, Any] = {
        "pretrain": arm.contexts if arm.method in OBJECTIVES else 0,
        "n_step": arm.n_step,
        "goal_visible": arm.goal_visible,
        "preset": config.preset,
    }
    for row in found:
        yield Measurement(
            study=STUDY,
            world=task_of(world.finetune, 0).env_id,
            dataset=world.finetune,
            method=arm.method,
            setting={**common, **row["setting"]},
            seed=arm.seed,
            metric=row["metric"],
            value=row["value"],
        )


def _place(method: str) -> int:
    return METHODS.index(method) if method in METHODS else len(METHODS)


def summarise(rows: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Success over goals and seeds of every setting in a study's rows, with a bootstrap interval, as words."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if row["metric"] == "success":
            at = row["setting"]
            key = (
                _place(row["method"]),
                row["method"],
                at["pretrain"],
                at["n_step"],
                at["goal_visible"],
                at["demos"],
            )
            groups.setdefault(key, []).append(row)
    for (_, method, contexts, n_step, visible, demos), found in sorted(groups.items()):
        values = np.array([row["value"] for row in found])
        low, high = bootstrap_interval(values)
        seeds = len({row["seed"] for row in found})
        yield (
            method,
            f"{contexts:,}" if contexts else "-",
            str(n_step),
            "visible" if visible else "hidden",
            "-" if demos == 0 else str(demos),
            f"{values.mean():.2f}",
            f"[{low:.2f}, {high:.2f}]",
            str(seeds),
        )


def _quick(world: str) -> StudyConfig:
    encoder = dataclasses.replace(pretrain.QUICK.encoder, image_size=(63, 63))
    settings = dataclasses.replace(pretrain.QUICK, encoder=encoder, render_profile="turbo")
    head = dataclasses.replace(finetune.QUICK, standardise=True)
    return StudyConfig(world=world, pretrain=settings, finetune=head, episodes=20)


def _paper(world: str, pixels: int, steps: int) -> StudyConfig:
    encoder = dataclasses.replace(pretrain.PAPER.encoder, image_size=(pixels, pixels))
    optimizer = dataclasses.replace(pretrain.PAPER.optimizer, steps=steps)
    return StudyConfig(
        world=world,
        pretrain=dataclasses.replace(pretrain.PAPER, encoder=encoder, optimizer=optimizer),
        finetune=finetune.PAPER,
        episodes=100,
        halved=("explicit_forward_dynamics",),
    )


_QUICK, _PAPER = (
    "63 px in turbo, 4,000 steps: minutes an encoder on a core",
    "the paper's pixels and steps, for a GPU",
)

PRESETS: dict[str, tuple[str, StudyConfig]] = {
    "point-mass": ("47 px, 4,000 steps: minutes an encoder on a core", StudyConfig()),
    "pick-place": (_QUICK, _quick("pick-place")),
    "door": (_QUICK, _quick("door")),
    "ml45": (_QUICK, _quick("ml45")),
    "r3m": (_QUICK, _quick("r3m")),
    "point-mass-paper": (_PAPER, _paper("point-mass", 84, 100_000)),
    "pick-place-paper": (_PAPER, _paper("pick-place", 120, 100_000)),
    "door-paper": (_PAPER, _paper("door", 120, 100_000)),
    "ml45-paper": (_PAPER, _paper("ml45", 120, 200_000)),
    "r3m-paper": (_PAPER, _paper("r3m", 120, 200_000)),
}
