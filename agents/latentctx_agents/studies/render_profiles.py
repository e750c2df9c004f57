"""Does an encoder lose anything when its frames are rendered faster? The same study in every render profile.

Each encoder is pretrained, finetuned and evaluated on frames of one profile; data, seeds, goals, steps and starts are
those of the demo, so that nothing but the pictures differs.
"""

import dataclasses
from collections.abc import Iterator
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from latentctx_agents import pretrain
from latentctx_agents.cells import run_cell
from latentctx_agents.results import Measurement, write_results
from latentctx_agents.runs import RunFolder
from latentctx_agents.stats import bootstrap_crossed_interval
from latentctx_agents.studies.demo import QUICK, DemoConfig, cells_of, encoder_run
from latentctx_agents.workers import StudyWorkers
from latentctx_datasets import collect, open_store
from latentctx_datasets.recipes import RECIPES
from latentctx_envs.cores import available_cores
from latentctx_envs.rendering import PROFILES

STUDY = "render_profiles"


@dataclass(frozen=True, kw_only=True)
class ProfilesConfig:
    """Which profiles and seeds are compared, and how each encoder is trained.

    Raises:
        ValueError: no seeds, or an unknown profile.
    """

    demo: DemoConfig = QUICK  # objective, data, steps and evaluation; its seed and profile are overridden
    profiles: tuple[str, ...] = PROFILES
    seeds: int = 3  # 0, 1, ...

    def __post_init__(self) -> None:
        """Refuse what cannot be compared."""
        if self.seeds < 1 or not self.profiles or set(self.profiles) - set(PROFILES):
            raise ValueError(f"seeds start at 1 and profiles are among {', '.join(PROFILES)}.")

    def arm(self, profile: str, seed: int) -> DemoConfig:
        """The study of one encoder."""
        pretraining = dataclasses.replace(self.demo.pretrain, render_profile=profile)
        return dataclasses.replace(self.demo, pretrain=pretraining, seed=seed)


def run_profiles(config: ProfilesConfig, folder: Path, *, workers: int | None = None) -> dict[str, Any]:
    """Run or resume the study; success and its 95 % interval for each profile.

    It writes results.csv, anew whenever an encoder is through.

    Args:
        config: the study.
        folder: run folder; what is already there is not done again.
        workers: processes; by default one a core.
    """
    RunFolder(folder, config)
    count = workers if workers is not None else available_cores()
    for dataset in (config.demo.pretrain.dataset, config.demo.finetune_dataset):
        collect.build(dataset)
    for profile in config.profiles:
        open_store(config.demo.pretrain.dataset, config.arm(profile, 0).pretrain.view, workers=count)
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    with StudyWorkers(workers) as pool:
        jobs: dict[Future[list[dict[str, Any]]], tuple[str, int]] = {
            pool.submit(_one, config.arm(profile, seed), folder / f"{profile}-{seed}"): (profile, seed)
            for seed in range(config.seeds)
            for profile in config.profiles
        }
        for job in tqdm(as_completed(jobs), total=len(jobs), desc="encoders", unit="encoder"):
            found[jobs[job]] = job.result()
            write_results(folder / "results.csv", _measurements(config, found))
    return summarise(found)


def _one(demo: DemoConfig, folder: Path) -> list[dict[str, Any]]:
    """Pretrain, finetune and evaluate one encoder; the results of its cells."""
    objective = demo.pretrain.objective
    pretrain.pretrain(demo.pretrain, encoder_run(folder, objective))
    return [run_cell(cell) for cell in cells_of(demo, folder, (objective,))]


def _measurements(
    config: ProfilesConfig, found: dict[tuple[str, int], list[dict[str, Any]]]
) -> Iterator[Measurement]:
    for (profile, seed), results in sorted(found.items()):
        demo = config.arm(profile, seed)
        for result in results:
            yield Measurement(
                study=STUDY,
                world=RECIPES[demo.pretrain.dataset].env_id,
                dataset=demo.finetune_dataset,
                method=demo.pretrain.objective,
                setting={
                    "profile": profile,
                    "demos": demo.finetune.demos,
                    "pretrain": demo.pretrain.contexts,
                    "preset": config.demo.preset,
                    "goal": result["goal"],
                    "episodes": len(result["success"]),
                },
                seed=seed,
                metric="success",
                value=float(np.mean(result["success"])),
            )


def summarise(found: dict[tuple[str, int], list[dict[str, Any]]]) -> dict[str, Any]:
    """Mean success and its 95 % bootstrap interval over seeds, goals and episodes, for each profile."""
    summary: dict[str, Any] = {}
    for profile in sorted({profile for profile, _ in found}):
        cells = [(seed, cell) for (name, seed), cells in found.items() if name == profile for cell in cells]
        means = np.array([np.mean(cell["success"]) for _, cell in cells])
        seeds, goals = [seed for seed, _ in cells], [cell["goal"] for _, cell in cells]
        low, high = bootstrap_crossed_interval(means, seeds, goals, episodes=len(cells[0][1]["success"]))
        summary[profile] = {"success": round(float(means.mean()), 4), "ci95": [round(low, 4), round(high, 4)]}
    return summary
