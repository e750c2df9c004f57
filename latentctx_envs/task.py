"""What a family provides: one task's physics, observations, reward and success.

The single and the vector environment are both generic over a Task, and both go through the same array
functions, so that they cannot drift apart.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import mujoco
import numpy as np
from gymnasium import spaces

from latentctx_envs.context import Context


class Task(ABC):
    """One embodiment and what is rewarded. `n` environments, `r` recorded numbers, `c` context numbers."""

    model: mujoco.MjModel
    action_space: spaces.Box
    context_type: ClassVar[type[Context]]
    vector_spaces: dict[str, spaces.Box]  # the spaces of "state" and "position"
    context_geoms: tuple[str, ...]  # geoms that show the context when they are drawn
    render_fps: ClassVar[int]

    @abstractmethod
    def place_context(self, data: mujoco.MjData, context: Context) -> None:
        """Put what shows the context (a target marker) in its place; the dynamics never notice."""

    @abstractmethod
    def start(self, data: mujoco.MjData, context: Context, rng: np.random.Generator) -> None:
        """Put `data` into a start state drawn from `rng`, with derived quantities up to date."""

    @abstractmethod
    def advance(self, data: mujoco.MjData, action: np.ndarray) -> None:
        """Simulate one control step under `action`."""

    @abstractmethod
    def read(self, data: mujoco.MjData) -> np.ndarray:
        """The numbers (r,), float64, from which observations, reward and success are computed."""

    @abstractmethod
    def observe(self, kind: str, rows: np.ndarray) -> np.ndarray:
        """The "state" or "position" observation, float32 (n, d), of rows (n, r)."""

    @abstractmethod
    def judge(self, rows: np.ndarray, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rewards (n,) float64 and successes (n,) bool of rows (n, r) under contexts (n, c)."""
