"""The study of arXiv 2305.16985: five objectives and four baselines, by demonstrations, data, seeds and horizons.

A run folder holds one setting (world, frames, training, evaluation); which of its cells are run is asked for each time,
and what is there already is not done again. The rows of all cells ever run in the folder are in its results.csv.
"""

import dataclasses
from collections.abc import Iterator
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from latentctx_agents import pretrain
from latentctx_agents.cells import EXPERT, SCRATCH, Cell, run_cell
from latentctx_agents.probe import cross_unexplained, probe_unexplained
from latentctx_agents.representations import OBJECTIVES
from latentctx_agents.results import Measurement, add_results
from latentctx_agents.runs import RunFolder
from latentctx_agents.studies.inverse_dynamics_grid import (
    PRETRAINED,
    RANDOM,
    SIGHTLESS,
    WORLDS,
    Arm,
    Grid,
    StudyConfig,
    dataset_of,
    frozen_name,
    pretraining,
)
from latentctx_agents.workers import StudyWorkers
from latentctx_datasets import RECIPES, View, collect, open_store
from latentctx_envs.cores import available_cores
from latentctx_envs.encoders import Encoder, load_encoder
from latentctx_envs.encoders.stateful import refuse_memory

STUDY = "inverse_dynamics"


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
    loaded = {method: load_encoder(name) for method, name in frozen.items()}
    views = {arm: sight(config, arm, loaded.get(arm.method)) for arm in arms}
    RunFolder(folder, config)
    count = workers if workers is not None else available_cores()
    _prepare(config, views, count)
    file = folder / "results.csv"
    with StudyWorkers(workers) as pool:
        jobs: dict[Future[list[dict[str, Any]]], Arm] = {
            pool.submit(run_arm, config, arm, views[arm], grid.demos, folder, frozen.get(arm.method)): arm
            for arm in arms
        }
        for job in tqdm(as_completed(jobs), total=len(jobs), desc=config.world, unit="arm"):
            add_results(file, rows_of(config, jobs[job], job.result()))
        if grid.analyse:
            looks = {
                pool.submit(analyse, config, arm, _partners(arm, arms), folder): arm
                for arm in arms
                if _is_encoder(arm)
            }
            for look in tqdm(as_completed(looks), total=len(looks), desc="analysis", unit="encoder"):
                add_results(file, rows_of(config, looks[look], look.result()))
    return file


def sight(config: StudyConfig, arm: Arm, encoder: Encoder | None = None) -> View | None:
    """The frames that an arm sees, those of its encoder's pretraining; None if it sees none.

    Raises:
        ValueError: its encoder remembers what it saw.
    """
    if arm.method in SIGHTLESS:
        return None
    view = pretraining(config, arm).view
    if encoder is None:
        return view
    refuse_memory(encoder, "finetuning")
    if encoder.render_profile is None:  # trained on others' pictures: what the other arms see
        return dataclasses.replace(view, image_size=encoder.input_shape[0])
    return pretrain.view_of(encoder)


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
        collect.ensure(dataset)
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
    encoder, weights, known = frozen, None, {}
    place = folder / "cells" / arm.name
    if frozen is not None:  # other weights of the same name are another arm
        weights = load_encoder(frozen)
        known = {"encoder_hash": weights.content_hash()[:12]}
        if view is not None:
            known |= {"render_profile": view.render_profile, "goal_visible": view.goal_visible}
        place = place.with_name(f"{arm.name}-{known['encoder_hash']}")
    if arm.method in PRETRAINED:
        pretrain.pretrain(pretraining(config, arm), encoder_run(folder, arm))
        encoder = str(encoder_run(folder, arm) / "encoder")
        weights = load_encoder(encoder)
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
                directory=str(place / f"{count}-{goal}"),
                held_out=config.held_out,
                stored=True,
                keep_policy=False,
            )
            result = run_cell(cell, weights)
            setting = {"demos": count, "goal": goal, "episodes": config.episodes, **known}
            for metric, value in _metrics(result):
                found.append({"metric": metric, "value": value, "setting": setting})
    return found


def _contexts_of(config: StudyConfig, arm: Arm) -> int:
    """How many contexts a row names: random and scratch networks have only their mean image from them."""
    largest, _ = WORLDS[config.world].pretrain[-1]
    usual = arm.contexts in (config.pretrain.contexts, largest) or arm.method not in (RANDOM, SCRATCH)
    return 0 if usual and arm.method not in OBJECTIVES else arm.contexts


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


def rows_of(config: StudyConfig, arm: Arm, found: list[dict[str, Any]]) -> Iterator[Measurement]:
    """The measurements of an arm as rows of the results."""
    task = WORLDS[config.world].finetune
    common: dict[str, Any] = {
        "pretrain": _contexts_of(config, arm),
        "n_step": arm.n_step,
        "goal_visible": arm.goal_visible,
        "preset": config.preset,
    }
    if config.pretrain_dataset is not None and arm.method in OBJECTIVES:
        common["pretrain_dataset"] = config.pretrain_dataset
    for row in found:
        yield Measurement(
            study=STUDY,
            world=RECIPES[task].env_id,
            dataset=task,
            method=arm.method,
            setting={**common, **row["setting"]},
            seed=arm.seed,
            metric=row["metric"],
            value=row["value"],
        )
