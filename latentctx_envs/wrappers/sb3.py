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
from latentctx_envs.encoders.stateful import refuse_memory
from latentctx_envs.extras import require
from latentctx_envs.wrappers.features import Transform

require("stable_baselines3", "agents")

from stable_baselines3.common.torch_layers import BaseFeaturesExtractor  # noqa: E402
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper  # noqa: E402

from latentctx_envs.wrappers.sb3_vector import to_sb3  # noqa: E402

__all__ = ["EncoderExtractor", "VecEncodeObservation", "to_sb3"]


class VecEncodeObservation(VecEnvWrapper):
    """`EncodeObservation` for an SB3 VecEnv: one forward pass for all, `terminal_observation` encoded too.

    Args:
        venv: a VecEnv whose observation the encoder takes: uint8 pixels (height, width, 3), a Dict with "pixels", or what
            a filter takes.
        encoder: the encoder, a directory, a zoo name or a hub id.
        device: torch device.

    Raises:
        ValueError: the environments show no pixels, or of a size the encoder does not take.
    """

    def __init__(self, venv: VecEnv, encoder: str | Path | Encoder, device: str = "cpu") -> None:
        if not isinstance(venv, VecEnv):
            raise ValueError(
                f"VecEncodeObservation wraps Stable-Baselines3's VecEnv; got {type(venv).__name__}. Gymnasium's go into "
                "EncodeObservation or VectorEncodeObservation, and to_sb3 makes a VecEnv of a vector."
            )
        self._transform = Transform(
            encoder,
            venv.observation_space,
            venv.action_space,
            count=venv.num_envs,
            settings=_attribute(venv, "settings"),
            family=_attribute(venv, "family"),
            who="VecEncodeObservation",
            device=device,
        )
        self.encoder = self._transform.encoder
        self._actions: np.ndarray | None = None
        super().__init__(venv, observation_space=self._transform.space)

    def reset(self) -> Any:
        """Reset the environments and encode what they show."""
        return self._transform.reset(self.venv.reset())

    def step_async(self, actions: np.ndarray) -> None:
        """Begin a step; a filter is told its actions."""
        self._actions = np.array(actions)
        super().step_async(actions)

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Finish the step and encode what the environments show."""
        observation, reward, done, infos = self.venv.step_wait()
        assert self._actions is not None
        rows = [index for index, info in enumerate(infos) if "terminal_observation" in info]
        last = self._transform.ends(
            [infos[index]["terminal_observation"] for index in rows], self._actions, rows
        )
        for index, features in zip(rows, last, strict=True):
            infos[index]["terminal_observation"] = features
        return self._transform.step(observation, self._actions, done), reward, done, infos


def _attribute(venv: VecEnv, name: str) -> Any:
    """That of the first environment; None if there is none of this name."""
    return venv.get_attr(name, [0])[0] if venv.has_attr(name) else None


class EncoderExtractor(BaseFeaturesExtractor):
    """Features extractor for `policy_kwargs`: pixels stay in the buffer, the encoder sits in the policy.

    SB3 hands over float pixels in [0, 1], channels first; they are turned back into the frames of the environment.

    Args:
        observation_space: uint8 pixels, (height, width, 3) or SB3's transposed (3, height, width).
        encoder: a directory, a zoo name, a hub id, or a module, which is copied: SB3's off-policy agents make
            several extractors of it and mix their weights.
        freeze: keep the encoder's weights; False finetunes them with the policy.

    Raises:
        ValueError: the space is not pixels of the encoder's size, or the encoder remembers what it saw.
    """

    def __init__(
        self,
        observation_space: gym.spaces.Space[Any],
        encoder: str | Path | Encoder,
        freeze: bool = True,
    ) -> None:
        module = copy.deepcopy(encoder) if isinstance(encoder, Encoder) else load_encoder(encoder)
        refuse_memory(module, "EncoderExtractor")
        super().__init__(observation_space, module.features_dim)
        height, width, channels = module.input_shape
        fits = observation_space.shape in ((channels, height, width), (height, width, channels))
        if not fits or observation_space.dtype != np.uint8:
            raise ValueError(
                f"EncoderExtractor: the encoder takes uint8 frames of {height}x{width} pixels, this space is "
                f"{observation_space}."
            )
        self._channels_first = observation_space.shape == (channels, height, width)
        self._freeze = freeze
        self._checked = (
            False  # the first observations tell how SB3 was set up; looking at all would wait for a GPU
        )
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
        """Features (B, D) of SB3's normalised pixels.

        Raises:
            ValueError: they are not in [0, 1]: SB3 was told `normalize_images=False`, or `VecNormalize` was there before.
        """
        if not self._checked:
            _check_divided(observations)
            self._checked = True
        frames = observations.permute(0, 2, 3, 1) if self._channels_first else observations
        return self.encoder((frames * 255.0).round().to(torch.uint8))


def _check_divided(observations: torch.Tensor) -> None:
    low, high = observations.aminmax()
    if low < 0.0 or high > 1.0:
        raise ValueError(
            f"EncoderExtractor takes pixels that SB3 has divided by 255; these go from {low:.3g} to {high:.3g}. Leave "
            "normalize_images on, and VecNormalize's norm_obs off."
        )
