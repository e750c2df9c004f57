"""How often Meta-World's scripted policies succeed under the protocol of arXiv 2305.16985, task by task."""

from collections.abc import Iterator, Sequence

import gymnasium as gym
import numpy as np

from latentctx_agents.results import Measurement
from latentctx_datasets.demonstrators import make_demonstrator
from latentctx_envs.meta_world.splits import TASKS
from latentctx_envs.rollout import rollout

DEMONSTRATOR = "meta-world-scripted"
WORLD = "LatentCtx-MetaWorld-v0"


def measure_scripted(episodes: int = 20, tasks: Sequence[str] | None = None) -> Iterator[Measurement]:
    """Success rate and mean length of each task's episodes, seeded 0, 1, ...

    Args:
        episodes: of each task.
        tasks: which; None for all fifty.
    """
    for task in TASKS if tasks is None else tasks:
        policy = make_demonstrator(DEMONSTRATOR)
        resets = [{"seed": seed} for seed in range(episodes)]
        with gym.make(WORLD, task=task) as env:
            ends = [step for step in rollout(env, policy, resets) if step.last]
        success = float(np.mean([step.next_info["success"] for step in ends]))
        length = float(np.mean([step.time + 1 for step in ends]))
        for metric, value in (("success", success), ("length", length)):
            yield Measurement(
                study="meta_world_scripted",
                world=WORLD,
                dataset="",
                method=DEMONSTRATOR,
                setting={"task": task, "episodes": episodes},
                seed=0,
                metric=metric,
                value=value,
            )
