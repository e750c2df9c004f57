"""Twins for Stable-Baselines3: a VecEnv wrapper and a features extractor over a frozen encoder.

`to_sb3` (in `latentctx_envs.wrappers.sb3_vector`) makes an SB3 VecEnv of a Gymnasium vector environment.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import gymnasium as gym
import numpy as np
import torch

from latentctx_envs.encoders import Encoder, load_encoder
from latentctx_envs.encoders.frozen import FrozenEncoder
from latentctx_envs.extras import require
from latentctx_envs.wrappers.features import encode_batch, encode_many, encoded_space

require("stable_baselines3", "agents")

from stable_baselines3.common.torch_layers import BaseFeaturesExtractor  # noqa: E402
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper  # noqa: E402

from latentctx_envs.wrappers.sb3_vector import to_sb3  # noqa: E402

__all__ = ["EncoderExtractor", "VecEncodeObservation", "to_sb3"]


class VecEncodeObservation(VecEnvWrapper):
    """`EncodeObservation` for an SB3 VecEnv: one forward pass for all, `terminal_observation` encoded too.

    Args:
        venv: a VecEnv whose observation is uint8 pixels (height, width, 3), or a Dict with "pixels".
        encoder: the encoder, a directory, a zoo name or a hub id.
        device: torch device.

    Raises:
        ValueError: the environments show no pixels, or of a size the encoder does not take.
    """

    def __init__(self, venv: VecEnv, encoder: str | Path | Encoder, device: str = "cpu") -> None:
        self.encoder = FrozenEncoder(encoder, device=device)
        space = encoded_space(venv.observation_space, self.encoder, "VecEncodeObservation")
        super().__init__(venv, observation_space=space)

    def reset(self) -> Any:
        """Reset the environments and encode what they show."""
        return encode_batch(self.venv.reset(), self.encoder)

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Finish the step and encode what the environments show."""
        observation, reward, done, infos = self.venv.step_wait()
        ended = [info for info in infos if "terminal_observation" in info]
        terminal = encode_many([info["terminal_observation"] for info in ended], self.encoder)
        for info, features in zip(ended, terminal, strict=True):
            info["terminal_observation"] = features
        return encode_batch(observation, self.encoder), reward, done, infos


class EncoderExtractor(BaseFeaturesExtractor):
    """Features extractor for `policy_kwargs`: pixels stay in the buffer, the encoder sits in the policy.

    SB3 hands over float pixels in [0, 1], channels first; they are turned back into the frames of the environment.

    Args:
        observation_space: uint8 pixels, (height, width, 3) or SB3's transposed (3, height, width).
        encoder: a directory, a zoo name, a hub id, or a module, which is copied: SB3's off-policy agents make
            several extractors of it and mix their weights.
        freeze: keep the encoder's weights; False finetunes them with the policy.

    Raises:
        ValueError: the space is not pixels of the encoder's size.
    """

    def __init__(
        self,
        observation_space: gym.spaces.Space[Any],
        encoder: str | Path | Encoder,
        freeze: bool = True,
    ) -> None:
        module = copy.deepcopy(encoder) if isinstance(encoder, Encoder) else load_encoder(encoder)
        super().__init__(observation_space, module.features_dim)
        height, width, channels = module.input_shape
        if observation_space.shape not in ((channels, height, width), (height, width, channels)):
            raise ValueError(
                f"EncoderExtractor: the encoder takes {height}x{width} frames, this space is {observation_space}."
            )
        self._channels_first = observation_space.shape == (channels, height, width)
        self._freeze = freeze
        self.encoder = module.requires_grad_(not freeze)

    def apply(self, fn: Callable[[torch.nn.Module], None]) -> Self:
        """Do nothing: SB3's `ortho_init` would overwrite the pretrained weights through this."""
        return self

    def train(self, mode: bool = True) -> Self:
        """Switch modes; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self._freeze:
            self.encoder.eval()
        return self

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Features (B, D) of SB3's normalised pixels."""
        frames = observations.permute(0, 2, 3, 1) if self._channels_first else observations
        return self.encoder((frames * 255.0).round().to(torch.uint8))
