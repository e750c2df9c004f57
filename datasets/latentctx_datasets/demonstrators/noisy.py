"""A trained demonstrator whose actions are disturbed: episodes that show how to come back."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from latentctx_envs.rollout import Policy

STREAM = 2  # keeps the noise apart from the environment's own draws and from the random player's
DEMONSTRATING = (
    0.1  # of an expert: running, the frailest task, keeps nine tenths of its return (docs/envs/locomotion.md)
)
EXPLORING = 0.3  # of a learner that collects: Dreamer's exploration noise (arXiv 1912.01603)


class NoisyActions:
    """A policy's actions with Gaussian noise, cut to the action space; the action that is executed is what is stored.

    Noise of an episode depends on its seed alone, not on the episodes beside it.

    Args:
        policy: acts first.
        scale: standard deviation of the noise, in units of half the range of an action.
    """

    def __init__(self, policy: Policy, scale: float) -> None:
        self._policy, self._scale = policy, scale
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
        """Forget what belongs to the last episode; the generators go on."""
        self._policy.reset()

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        """Actions, float32 (N, a), for observations (N, ...).

        Raises:
            RuntimeError: `begin` was not called.
        """
        if self._space is None:
            raise RuntimeError("noise is drawn from seeds: call begin(space, seeds) first.")
        low, high = np.float64(self._space.low), np.float64(self._space.high)
        noise = np.stack([rng.standard_normal(low.shape) for rng in self._rngs])
        actions = self._policy(observation, info) + self._scale * (high - low) / 2.0 * noise
        return np.clip(actions, low, high).astype(np.float32)
