"""How AIME (NeurIPS 2023) plays and counts episodes of cheetah and walker: its datasets, experts and measurements alike."""

from typing import Any

from latentctx_envs.locomotion.cheetah import CheetahTask
from latentctx_envs.locomotion.walker import WalkerTask

ENV_KWARGS: dict[str, Any] = {
    "action_repeat": 2,  # control steps a decision
    "max_episode_steps": 500,  # decisions
    "reward_mode": "last_substep",  # returns as in the paper: at most 500 for tasks that dm_control does not have
}
NATIVE_RETURN = 1000.0  # the most that an episode of a task of dm_control's can earn
CUSTOM_RETURN = 500.0  # of another task

NATIVE: dict[str, tuple[str, ...]] = {"cheetah": CheetahTask.native, "walker": WalkerTask.native}


def most(task: str) -> float:
    """The most that an episode of a task such as "cheetah-run" can earn."""
    body, _, name = task.partition("-")
    return NATIVE_RETURN if name in NATIVE[body] else CUSTOM_RETURN
