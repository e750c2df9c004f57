"""VectorEncodeObservation: N environments encoded in one forward pass."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import batch_space

from latentctx_envs.encoders import Encoder, FrozenEncoder
from latentctx_envs.wrappers.features import encode_batch, encode_many, encoded_space


class VectorEncodeObservation(gym.vector.VectorWrapper):
    """The vector twin of `EncodeObservation`, for every autoreset mode; `infos["final_obs"]` is encoded too.

    Args:
        env: a vector environment whose observations are uint8 pixels, or a Dict with "pixels".
        encoder: the encoder, a directory, a zoo name or a hub id.
        device: torch device.

    Raises:
        ValueError: the environments show no pixels, or of a size the encoder does not take.
    """

    def __init__(
        self,
        env: gym.vector.VectorEnv[Any, Any, Any],
        encoder: str | Path | Encoder,
        device: str = "cpu",
    ) -> None:
        super().__init__(env)
        self.encoder = FrozenEncoder(encoder, device=device)
        self.single_observation_space = encoded_space(
            env.single_observation_space, self.encoder, "VectorEncodeObservation"
        )
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:  # type: ignore[override]
        """Reset the environments and encode what they show."""
        observation, info = self.env.reset(**kwargs)
        return encode_batch(observation, self.encoder), info

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step the environments and encode what they show, final observations included."""
        observation, reward, terminated, truncated, info = self.env.step(actions)
        if "final_obs" in info:
            info["final_obs"] = self._encode_final(info["final_obs"])
        return encode_batch(observation, self.encoder), reward, terminated, truncated, info

    def _encode_final(self, final: np.ndarray) -> np.ndarray:
        ended = [index for index, observation in enumerate(final) if observation is not None]
        encoded = np.full(len(final), None, dtype=object)
        for index, features in zip(
            ended, encode_many([final[index] for index in ended], self.encoder), strict=True
        ):
            encoded[index] = features
        return encoded
