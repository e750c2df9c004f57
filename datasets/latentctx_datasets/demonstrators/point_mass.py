"""The point mass' expert: a proportional-derivative controller (arXiv 2305.16985)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

STIFFNESS = 10.0  # [1/m]
DAMPING = 1.0  # [s/m]


class PointMassExpert:
    """a = clip(10 (goal - position) - velocity, -1, 1); it reads the goal from `info["context"]`.

    Args:
        noise_scale: standard deviation of noise added before clipping (the authors' noisy variant: 2).
        seed: of that noise.
    """

    def __init__(self, noise_scale: float = 0.0, seed: int = 0) -> None:
        self._noise_scale = noise_scale
        self._rng = np.random.default_rng(seed)

    def reset(self) -> None:
        """Nothing is remembered between episodes."""

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        """Action(s), float32 (..., 2), for state observation(s) (..., 4)."""
        state = np.asarray(observation, dtype=np.float64)
        goal = np.stack(info["context"]["goal"]) if state.ndim > 1 else info["context"]["goal"]
        action = STIFFNESS * (np.asarray(goal) - state[..., :2]) - DAMPING * state[..., 2:]
        if self._noise_scale > 0.0:
            action = action + self._rng.normal(0.0, self._noise_scale, size=action.shape)
        return np.clip(action, -1.0, 1.0).astype(np.float32)
