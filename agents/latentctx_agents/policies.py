"""Policies for `rollout()`: a torch head on observations or features, and Stable-Baselines3 models."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn


class HeadPolicy:
    """A network from observations (b, d), float32, to actions in [-1, 1]."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()

    def reset(self) -> None:
        """Nothing is remembered between episodes."""

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        """Actions, float32, clipped to [-1, 1]."""
        batch = torch.from_numpy(np.atleast_2d(observation))
        with torch.inference_mode():
            action = self._network(batch).clamp(-1.0, 1.0).numpy()
        return action[0] if np.ndim(observation) == 1 else action


class SB3Policy:
    """A Stable-Baselines3 model as a policy; behind a `VecNormalize` with that one's statistics."""

    def __init__(self, model: Any, *, deterministic: bool = True) -> None:
        self._model = model
        self._deterministic = deterministic
        self._normalizer = model.get_vec_normalize_env()

    def reset(self) -> None:
        """Nothing is remembered between episodes."""

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        """Actions of the model."""
        if self._normalizer is not None:
            observation = self._normalizer.normalize_obs(observation)
        action, _ = self._model.predict(observation, deterministic=self._deterministic)
        return action
