"""The random player: uniform actions, drawn for each episode from its own seed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

STREAM = 1  # keeps the actions apart from the environment's own draws with the same seed


class RandomActions:
    """Uniform actions; those of an episode depend on its seed alone, not on the episodes beside it."""

    def __init__(self) -> None:
        self._rngs: list[np.random.Generator] = []
        self._space: spaces.Box | None = None

    def begin(self, space: spaces.Box, seeds: Sequence[int]) -> None:
        """Prepare for episodes side by side.

        Args:
            space: the action space of one environment.
            seeds: of the N episodes.
        """
        self._space = space
        self._rngs = [np.random.default_rng([seed, STREAM]) for seed in seeds]

    def reset(self) -> None:
        """Nothing is remembered between episodes but the generators."""

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        """Actions, float32 (N, a).

        Raises:
            RuntimeError: `begin` was not called.
        """
        if self._space is None:
            raise RuntimeError("the random player draws from seeds: call begin(space, seeds) first.")
        low, high = np.float64(self._space.low), np.float64(self._space.high)
        units = np.stack([rng.random(low.shape) for rng in self._rngs])
        return (low + (high - low) * units).astype(np.float32)
