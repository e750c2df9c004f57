"""The study of AIME (NeurIPS 2023): bodies, their experience, tasks that are shown, and who imitates them how well.

A run folder holds one setting; which of its cells are run is asked for each time, and what is there already is not done
again. The rows of all cells ever run in the folder are in its results.csv.
"""

import dataclasses
from collections.abc import Iterator
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file
from tqdm import tqdm

from latentctx_agents.aime import baselines
from latentctx_agents.aime.agent import view_of
from latentctx_agents.aime.imitate import imitate, true_evidence
from latentctx_agents.aime.stacked import Stacked, stack_of
from latentctx_agents.optim import write_weights
from latentctx_agents.results import Measurement, add_results
from latentctx_agents.returns import returns_of
from latentctx_agents.runs import RunFolder, kept_json, read_metrics
from latentctx_agents.studies.aime_grid import (
    AIME,
    BC,
    BCO,
    EXPLORATION,
    IIDM,
    TASKS,
    AimeArm,
    AimeGrid,
    AimeStudyConfig,
)
from latentctx_agents.workers import StudyWorkers
from latentctx_agents.world_models.train import train_world_model
from latentctx_agents.world_models.windows import open_episodes
from latentctx_datasets import StateStore, collect, library
from latentctx_datasets.demonstrators.locomotion import ENV_IDS
from latentctx_envs.encoders.latent.sensors import Sensors
from latentctx_envs.rollout import Policy

STUDY = "aime"
LOGGED = (
    "action_error",
    "evidence",
    "true_evidence",
    "elbo",
    "true_elbo",
)  # numbers of a training that are results


def body_set(config: AimeStudyConfig, name: str) -> str:
    """Dataset of a set of experience."""
    if config.noisy and name.endswith("replay"):
        name = name.replace("-replay", "-noisy-replay")
    elif config.noisy and name == "mix":
        name = "noisy-mix"
    return f"latentctx/{config.body}/{name}-v0"


def shown(config: AimeStudyConfig, task: str) -> str:
    """Dataset of a task's demonstrations."""
    return f"latentctx/{config.body}/{task}{'-noisy' * config.noisy}-expert-v0"


def measure_of(config: AimeStudyConfig, task: str) -> str:
    """Dataset whose mean return counts as 1: the expert's without noise, whatever is shown."""
    return f"latentctx/{config.body}/{task}-expert-v0"


def run_study(config: AimeStudyConfig, grid: AimeGrid, folder: Path, *, workers: int | None = None) -> Path:
    """Run or resume the cells of a grid; returns the CSV, which grows as arms are through.

    Args:
        config: what all cells of the folder share.
        grid: which cells.
        folder: run folder; what is already there is not done again.
        workers: processes; by default one a core.

    Raises:
        ValueError: the folder holds a study with another config, or the body has no such set or task.
        DatasetError: a dataset cannot be built, for its demonstrator is not there.
    """
    arms = grid.arms(config.body)
    tasks = grid.tasks or TASKS[config.body]
    explored = body_set(config, EXPLORATION)
    if any(arm.set == EXPLORATION for arm in arms) and not library.is_local(explored):
        raise library.DatasetError(
            f"{explored} is not there: `latentctx dreamer explore --task {config.body}-{TASKS[config.body][0]} --dataset "
            f"{explored}` collects it."
        )
    RunFolder(folder, config)
    demonstrations = [shown(config, task) for task in tasks]
    for dataset in [
        *demonstrations,
        *(measure_of(config, task) for task in tasks),
        *(body_set(config, arm.set) for arm in arms if arm.set),
    ]:
        collect.ensure(dataset)
        for observed in grid.observed:
            store = open_episodes(dataset, observed, config.world_model.model.image_size)
            if dataset in demonstrations and len(store) < max(grid.demos):
                raise ValueError(f"{dataset} has {len(store)} episodes; demos={max(grid.demos)}.")
    file = folder / "results.csv"
    groups = _by_knowledge(arms)
    with StudyWorkers(workers) as pool:
        jobs: dict[Future[list[Measurement]], str] = {
            pool.submit(run_arms, config, group, tasks, grid.demos, folder): name
            for name, group in groups.items()
        }
        for job in tqdm(as_completed(jobs), total=len(jobs), desc=config.body, unit="model"):
            add_results(file, job.result())
    return file


def _by_knowledge(arms: list[AimeArm]) -> dict[str, list[AimeArm]]:
    """Arms that share what was learned of the body, which is learned once."""
    groups: dict[str, list[AimeArm]] = {}
    for arm in arms:
        groups.setdefault(arm.knowledge, []).append(arm)
    return groups


def run_arms(
    config: AimeStudyConfig, arms: list[AimeArm], tasks: tuple[str, ...], demos: tuple[int, ...], folder: Path
) -> list[Measurement]:
    """The cells of arms that share their knowledge of the body, one after the other."""
    rows: list[Measurement] = []
    for arm in arms:
        for task in tasks:
            for count in demos:
                result = run_cell(config, arm, task, count, folder)
                rows += rows_of(config, arm, task, count, result)
    return rows


def run_cell(config: AimeStudyConfig, arm: AimeArm, task: str, demos: int, folder: Path) -> dict[str, Any]:
    """Imitate a task and evaluate the policy, or read the result if it is there.

    Returns:
        {"returns": of each episode, "expert": mean return of the expert without noise, over all its episodes, "metrics": of
        the training's end}.
    """
    name = f"{arm.method}-{arm.set or 'none'}-{task}-{arm.observed}-{demos}demos-seed{arm.seed}"
    place = folder / "cells" / name

    def measured() -> dict[str, Any]:
        policy, metrics = learn(config, arm, task, demos, folder, place)
        returns = returns_of(
            policy,
            f"{config.body}-{task}",
            episodes=config.episodes,
            **view_of(arm.observed, config.world_model.model.image_size),
        )
        store = open_episodes(measure_of(config, task), arm.observed, config.world_model.model.image_size)
        expert = np.add.reduceat(np.asarray(store.rewards, np.float64), store.starts).mean()
        return {"returns": returns.tolist(), "expert": float(expert), "metrics": metrics}

    return kept_json(place / "result.json", measured)


def learn(
    config: AimeStudyConfig, arm: AimeArm, task: str, demos: int, folder: Path, place: Path
) -> tuple[Policy, dict[str, float]]:
    """The policy of a cell, and numbers of its training."""
    if arm.method in AIME:
        return _learn_aime(config, arm, task, demos, folder, place)
    observed, dataset = arm.observed, shown(config, task)
    sensors = Sensors.of(config.body, observed)
    store = open_episodes(dataset, observed, config.world_model.model.image_size)
    settings = dataclasses.replace(config.baselines, seed=arm.seed)
    if arm.method == BC:
        learned = baselines.clone_true(store, demos, sensors, settings)
    elif arm.method == BCO:
        inverse = _knowledge(config, arm, sensors, folder, settings)
        learned = baselines.clone_inferred(inverse, store, demos, sensors, settings)
    else:
        forward = _knowledge(config, arm, sensors, folder, settings)
        learned = baselines.imitate_forward(forward, store, demos, sensors, settings)
    fit = {"held_out_error": learned.fit.error, "steps": float(learned.fit.steps)}
    return baselines.as_policy(learned, sensors), fit


def _learn_aime(
    config: AimeStudyConfig, arm: AimeArm, task: str, demos: int, folder: Path, place: Path
) -> tuple[Policy, dict[str, float]]:
    knowledge = folder / "body" / arm.knowledge
    training = dataclasses.replace(
        config.world_model, dataset=body_set(config, arm.set), observed=arm.observed, seed=arm.seed
    )
    train_world_model(training, knowledge)
    imitation = dataclasses.replace(
        config.imitation, dataset=shown(config, task), demos=demos, objective=AIME[arm.method], seed=arm.seed
    )
    agent = imitate(imitation, knowledge / "model", place)
    last = {k: v for k, v in read_metrics(place)[-1].items() if k not in ("step", "seconds")}
    last |= true_evidence(imitation, agent.model)
    return agent.acting(arm.seed, sample_state=config.sample_state), last


def _knowledge(
    config: AimeStudyConfig, arm: AimeArm, sensors: Sensors, folder: Path, settings: baselines.BaselineConfig
) -> Stacked:
    """The network that a baseline learned of the body, trained once."""
    file = folder / "body" / arm.knowledge / "network.safetensors"
    store: StateStore = open_episodes(
        body_set(config, arm.set), sensors.observed, config.world_model.model.image_size
    )
    actions, stack = store.actions.shape[-1], stack_of(sensors.observed)
    if file.exists():
        if arm.method == BCO:
            network = Stacked(sensors, stack + 1, actions)
        else:
            network = Stacked(sensors, stack, sensors.width, extra=actions, squash=False)
        network.load_state_dict(load_file(file))
        return network
    learn_body = {BCO: baselines.learn_inverse_dynamics, IIDM: baselines.learn_forward_dynamics}[arm.method]
    network = learn_body(store, sensors, settings).network
    file.parent.mkdir(parents=True, exist_ok=True)
    write_weights(file, network)
    return network


def rows_of(
    config: AimeStudyConfig, arm: AimeArm, task: str, demos: int, result: dict[str, Any]
) -> Iterator[Measurement]:
    """The measurements of a cell as rows of the results."""
    returns = np.array(result["returns"])
    metrics = {
        "return": float(returns.mean()),
        "return_std": float(returns.std()),
        "expert_share": float(returns.mean()) / result["expert"],
        **{name: value for name, value in result["metrics"].items() if name in LOGGED},
    }
    setting = {
        "task": task, "set": arm.set, "observed": arm.observed, "demos": demos, "preset": config.preset, "noisy": config.noisy,
        "sample_state": config.sample_state, "episodes": config.episodes,
    }  # fmt: skip
    if arm.method in AIME:
        net, updates = config.world_model.model, config.imitation.optimizer.steps
        setting |= {"latent": f"{net.deter} + {net.stoch}", "updates": updates}
    for metric, value in metrics.items():
        yield Measurement(
            study=STUDY,
            world=ENV_IDS[f"{config.body}-{task}"],
            dataset=shown(config, task),
            method=arm.method,
            setting=setting,
            seed=arm.seed,
            metric=metric,
            value=value,
        )
