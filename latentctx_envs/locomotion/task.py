"""What cheetah and walker share: rewards that the context chooses, on an embodiment of dm_control's suite."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, get_args

import mujoco
import numpy as np
from gymnasium import spaces

from latentctx_envs.context import Context, Split
from latentctx_envs.locomotion.context import (
    CONTEXT_KINDS,
    SPIN_LIMIT,
    ContextKind,
    LocomotionContext,
    TargetContext,
)
from latentctx_envs.suite import suite_model
from latentctx_envs.task import Task

SUCCESS_REWARD = 0.9  # a step succeeds from this reward on; the suite itself knows no success
FLIP_RATE = 5.0  # [rad/s], or [kg m^2/s] of angular momentum, from which a flip earns 1 (AIME)
FlipSignal = Literal["rooty_rate", "angular_momentum"]
RewardMode = Literal["sum", "last_substep"]


class LocomotionTask(Task):
    """One embodiment; the context says what is rewarded.

    Args:
        task: the only task that contexts are drawn from; None for all of the embodiment's.
        context_kind: "task", or "speed" for a signed target speed or spin rate.
        flip_signal: what a flip is measured by: "rooty_rate", the root's turning rate (AIME's code), or
            "angular_momentum" of the whole body around y (its successor's).
        reward_mode: with several control steps an action, "sum" adds their rewards up; "last_substep" takes the tasks
            that dm_control does not have by their last control step alone, as AIME's code does.

    Raises:
        ValueError: an argument is not one of those named.
    """

    context_type: type[Context]
    task_context: ClassVar[type[LocomotionContext]]
    target_context: ClassVar[type[TargetContext]]
    domain: ClassVar[str]  # name of the suite's model
    native: ClassVar[tuple[str, ...]]  # tasks that dm_control has itself
    sizes: ClassVar[dict[str, int]]  # numbers of "state" and "position"
    # contacts are solved from the last solution: without it a restored episode differs in the last bits
    state_parts: ClassVar[int] = int(mujoco.mjtState.mjSTATE_FULLPHYSICS | mujoco.mjtState.mjSTATE_WARMSTART)

    def __init__(
        self,
        task: str | None = None,
        *,
        context_kind: ContextKind = "task",
        flip_signal: FlipSignal = "rooty_rate",
        reward_mode: RewardMode = "sum",
    ) -> None:
        _check("context_kind", context_kind, CONTEXT_KINDS)
        _check("flip_signal", flip_signal, get_args(FlipSignal))
        _check("reward_mode", reward_mode, get_args(RewardMode))
        if task is not None and context_kind != "task":
            raise ValueError(f"a fixed task ({task!r}) leaves no {context_kind} to draw: pass task=None.")
        self._only = None if task is None else self.task_context(task=task)
        self._targets = context_kind == "speed"
        self.context_type = self.target_context if self._targets else self.task_context
        self._flip_signal, self._reward_mode = flip_signal, reward_mode
        self.model = suite_model(self.domain)
        self.action_space = spaces.Box(-1.0, 1.0, (self.model.nu,), np.float32)
        self.vector_spaces = {
            kind: spaces.Box(-np.inf, np.inf, (size,), np.float32) for kind, size in self.sizes.items()
        }

    def check_context(self, context: Context) -> None:
        """Refuse another task than the only one."""
        if self._only is not None and context != self._only:
            raise ValueError(
                f"the only context of this world is {self._only.to_dict()}; got {context.to_dict()}."
            )

    def draw_context(self, rng: np.random.Generator, split: Split) -> Context:
        """The only task there is, or one of the embodiment's contexts."""
        drawn = self.context_type.sample(rng, split)
        return drawn if self._only is None else self._only

    def judge(self, rows: np.ndarray, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Reward of each row under its own context, in [0, 1]; success: a reward of at least 0.9."""
        if self._targets:
            spins = contexts[:, 0] > 0.5
            moved = self.track(rows, contexts[:, 1])
            spun = closeness(self.spin(rows) / SPIN_LIMIT, contexts[:, 1])
            rewards = np.where(spins, spun, moved)
        else:
            rewards = by_group(contexts.argmax(axis=1), rows, lambda index, part: self._reward(index, part))
        return rewards, rewards >= SUCCESS_REWARD

    def _reward(self, index: int, rows: np.ndarray) -> np.ndarray:
        task = self.task_context.tasks[index]
        if task == "flip":
            return np.clip(self.spin(rows) / FLIP_RATE, 0.0, 1.0)
        if task == "flip-backward":
            return np.clip(-self.spin(rows) / FLIP_RATE, 0.0, 1.0)
        return self.reward(task, rows)

    def accumulates(self, contexts: np.ndarray) -> np.ndarray:
        """In the paper's mode, only dm_control's own tasks add up the rewards of an action's control steps."""
        if self._reward_mode == "sum":
            return super().accumulates(contexts)
        if self._targets:
            return np.zeros(len(contexts), bool)
        tasks = self.task_context.tasks
        return np.isin(contexts.argmax(axis=1), [tasks.index(name) for name in self.native])

    def spin(self, rows: np.ndarray) -> np.ndarray:
        """How fast the body turns nose down, by the chosen signal (n,)."""
        return self.spin_signals(rows)[self._flip_signal]

    @abstractmethod
    def spin_signals(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The root's turning rate [rad/s] and the angular momentum [kg m^2/s] around y, each (n,)."""

    @abstractmethod
    def reward(self, task: str, rows: np.ndarray) -> np.ndarray:
        """Rewards (n,) of rows (n, r) for one task that is no flip."""

    @abstractmethod
    def track(self, rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Rewards (n,) for moving at a share (n,) of the embodiment's speed limit."""


def closeness(values: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """1 at the target, falling to 0 at a distance of 1."""
    return np.maximum(1.0 - np.abs(values - targets), 0.0)


def by_group(
    groups: np.ndarray, rows: np.ndarray, function: Callable[[int, np.ndarray], np.ndarray]
) -> np.ndarray:
    """`function(group, its rows)` for each group of rows, put back in their places, float64 (n,)."""
    first = int(groups[0])
    if (groups == first).all():
        return function(first, rows)
    out = np.empty(len(rows))
    for group in np.unique(groups).tolist():
        mask = groups == group
        out[mask] = function(group, rows[mask])
    return out


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


def _check(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}.")
