"""What cheetah and walker share: one rewarded task of an embodiment of dm_control's suite."""

from abc import abstractmethod
from typing import ClassVar

import mujoco
import numpy as np
from gymnasium import spaces

from latentctx_envs.context import Context, Split
from latentctx_envs.locomotion.context import LocomotionContext
from latentctx_envs.suite import suite_model
from latentctx_envs.task import Task

SUCCESS_REWARD = 0.9  # a step succeeds from this reward on; the suite itself knows no success


class LocomotionTask(Task):
    """One embodiment; rewards are looked up by the context's task.

    Args:
        task: the only task that contexts are drawn from; None for all of the embodiment's.

    Raises:
        ValueError: the embodiment has no such task.
    """

    context_type: ClassVar[type[LocomotionContext]]
    domain: ClassVar[str]  # name of the suite's model
    sizes: ClassVar[dict[str, int]]  # numbers of "state" and "position"
    # contacts are solved from the last solution: without it a restored episode differs in the last bits
    state_parts: ClassVar[int] = int(mujoco.mjtState.mjSTATE_FULLPHYSICS | mujoco.mjtState.mjSTATE_WARMSTART)

    def __init__(self, task: str | None = None) -> None:
        self._only = None if task is None else self.context_type(task=task)
        self.model = suite_model(self.domain)
        self.action_space = spaces.Box(-1.0, 1.0, (self.model.nu,), np.float32)
        self.vector_spaces = {
            kind: spaces.Box(-np.inf, np.inf, (size,), np.float32) for kind, size in self.sizes.items()
        }

    def draw_context(self, rng: np.random.Generator, split: Split) -> Context:
        """The only task there is, or one of the embodiment's."""
        drawn = self.context_type.sample(rng, split)
        return drawn if self._only is None else self._only

    def judge(self, rows: np.ndarray, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Reward of each row under its own task, in [0, 1]; success: a reward of at least 0.9."""
        chosen = contexts.argmax(axis=1)
        first = int(chosen[0])
        if (chosen == first).all():
            rewards = self.reward(self.context_type.tasks[first], rows)
        else:
            rewards = np.empty(len(rows))
            for index in np.unique(chosen).tolist():
                mask = chosen == index
                rewards[mask] = self.reward(self.context_type.tasks[index], rows[mask])
        return rewards, rewards >= SUCCESS_REWARD

    @abstractmethod
    def reward(self, task: str, rows: np.ndarray) -> np.ndarray:
        """Rewards (n,) of rows (n, r) for one task."""


def random_joints(
    model: mujoco.MjModel, rng: np.random.Generator, *, hinges: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Drawn joint positions (k,) and where they go in `qpos`, as dm_control draws them.

    Args:
        model: a model whose joints are hinges and slides.
        rng: one uniform draw for each joint, in order.
        hinges: turn unlimited hinges by any angle; else only limited joints move.
    """
    limited = model.jnt_limited.astype(bool)
    free = ~limited & (model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE) if hinges else np.zeros_like(limited)
    low = np.where(free, -np.pi, model.jnt_range[:, 0])
    high = np.where(free, np.pi, model.jnt_range[:, 1])
    moved = limited | free
    return rng.uniform(low[moved], high[moved]), model.jnt_qposadr[moved]
