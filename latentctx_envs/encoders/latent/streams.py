"""A frozen filter over the observations of N environments: numpy in, numpy out, the states kept."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from latentctx_envs.encoders.latent.encoder import LatentEncoder
from latentctx_envs.encoders.latent.rssm import State
from latentctx_envs.encoders.latent.sensors import PIXELS


class Streams:
    """The latent state of each of N environments.

    Args:
        module: the filter; it is frozen.
        count: N.
        action_space: of one environment; actions are clipped to it, as the environment does.
        device: torch device.

    Raises:
        ValueError: the filter is of another action size.
    """

    def __init__(
        self, module: LatentEncoder, count: int, action_space: spaces.Space[Any], *, device: str = "cpu"
    ) -> None:
        self.module = module.requires_grad_(False).eval().to(device)
        size = module.config.action_dim
        if not isinstance(action_space, spaces.Box) or action_space.shape != (size,):
            raise ValueError(f"the encoder follows actions of {size} numbers; this env takes {action_space}.")
        self._low, self._high, self._device = action_space.low, action_space.high, device
        self._state = module.rssm.initial(count)

    def begin(self, observations: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Features (k, D) of the first observations (k, ...) of some environments' episodes."""
        with torch.inference_mode():
            fresh = self.module.rssm.initial(len(rows))
            actions = torch.zeros(len(rows), self.module.config.action_dim, device=self._device)
            return self._keep(self.module.follow(fresh, self._tensor(observations), actions), rows)

    def follow(self, observations: np.ndarray, actions: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Features (k, D) of the observations (k, ...) that actions (k, a) led some environments to."""
        clipped = np.clip(actions, self._low, self._high).astype(np.float32)
        with torch.inference_mode():
            before = State(self._state.deter[rows], self._state.stoch[rows])
            after = self.module.follow(
                before, self._tensor(observations), torch.from_numpy(clipped).to(self._device)
            )
            return self._keep(after, rows)

    def _keep(self, state: State, rows: np.ndarray) -> np.ndarray:
        self._state.deter[rows], self._state.stoch[rows] = state.deter, state.stoch
        return state.features.cpu().numpy()

    def _tensor(self, observations: np.ndarray) -> Tensor:
        dtype = np.uint8 if self.module.config.observed == PIXELS else np.float32
        return torch.from_numpy(np.array(observations, dtype=dtype, order="C")).to(self._device)
