"""What a family provides: one task's physics, observations, reward and success.

The single and the vector environment are both generic over a Task, and both go through the same array
functions, so that they cannot drift apart.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import mujoco
import numpy as np
from gymnasium import spaces

from latentctx_envs.context import Context, Split


class Task(ABC):
    """One embodiment and what is rewarded. `n` environments, `r` recorded numbers, `c` context numbers."""

    model: mujoco.MjModel
    action_space: spaces.Box
    context_type: type[Context]
    vector_spaces: dict[str, spaces.Box]  # the spaces of "state" and "position"
    context_geoms: tuple[str, ...] = ()  # geoms that show the context when they are drawn
    substeps: ClassVar[int] = 1  # physics steps of one control step
    state_parts: ClassVar[int] = int(mujoco.mjtState.mjSTATE_FULLPHYSICS)  # of `physics_state()`
    render_fps: ClassVar[int]

    @abstractmethod
    def start(self, data: mujoco.MjData, context: Context, rng: np.random.Generator) -> None:
        """Put `data` into a start state drawn from `rng`, with derived quantities up to date."""

    @abstractmethod
    def views(self, data: mujoco.MjData) -> tuple[np.ndarray, ...]:
        """Contiguous live views of `data` that, laid end to end, are its row of r recorded numbers, float64."""

    @abstractmethod
    def observe(self, kind: str, rows: np.ndarray) -> np.ndarray:
        """The "state" or "position" observation, float32 (n, d), of rows (n, r)."""

    @abstractmethod
    def judge(self, rows: np.ndarray, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rewards (n,) float64 and successes (n,) bool of rows (n, r) under contexts (n, c)."""

    def accumulates(self, contexts: np.ndarray) -> np.ndarray:
        """Whether the rewards of an action's control steps add up, bool (n,); else the last one counts alone."""
        return np.ones(len(contexts), bool)

    def place_context(self, data: mujoco.MjData, context: Context) -> None:  # noqa: B027
        """Put what shows the context (a target marker) in its place, if there is any; the dynamics never notice."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """That its contexts have."""
        return self.context_type.splits

    def check_context(self, context: Context) -> None:  # noqa: B027
        """Refuse a context that no episode has; a task that fixes part of its context overrides it.

        Raises:
            ValueError: it is one.
        """

    def draw_context(self, rng: np.random.Generator, split: Split) -> Context:
        """A context of the named split; a task that fixes part of its context overrides it."""
        return self.context_type.sample(rng, split)
