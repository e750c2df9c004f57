"""FrozenEncoder: numpy pixels in, numpy features out, weights never trained."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from latentctx_envs.encoders.base import Encoder, check_pixels
from latentctx_envs.encoders.devices import check_device
from latentctx_envs.encoders.registry import load_encoder
from latentctx_envs.encoders.threads import threads_for

BATCH = 512  # frames encoded at once, bounds memory


class FrozenEncoder:
    """An encoder in evaluation mode without gradients, as the wrappers use it.

    Args:
        encoder: an Encoder, which is copied as it is now and may be trained on, a directory, a zoo name or a hub id.
        device: torch device.

    Raises:
        ValueError: no such encoder, its files are damaged, or there is no such device.
    """

    def __init__(self, encoder: str | Path | Encoder, *, device: str = "cpu") -> None:
        if isinstance(encoder, torch.nn.Module) and not isinstance(encoder, Encoder):
            raise ValueError(
                f"an encoder is an Encoder, a folder or a name; got the module {type(encoder).__name__}."
            )
        self.module = copy.deepcopy(encoder) if isinstance(encoder, Encoder) else load_encoder(encoder)
        check_device(device)
        self.module.requires_grad_(False).eval().to(device)
        self._device = device

    @property
    def space(self) -> spaces.Box:
        """Box of one feature vector, shape (D,), float32."""
        low, high = self.module.feature_range
        return spaces.Box(low, high, (self.module.features_dim,), np.float32)

    def check_space(self, space: spaces.Space[Any], who: str) -> None:
        """Refuse an observation space that this encoder cannot take.

        Raises:
            ValueError: not uint8 pixels (or the vectors that a filter takes), or of another size.
        """
        if len(self.module.input_shape) == 1:
            self._check_vector_space(space, who)
            return
        if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or len(space.shape) != 3:
            raise ValueError(
                f"{who} needs pixels, uint8 (height, width, 3), or a Dict with them as 'pixels'; this env's observation is "
                f"{_line(space)}. Worlds of this project show them with observation='pixels'."
            )
        if space.high.max() <= 1:
            raise ValueError(f"{who}: the encoder takes pixels from 0 to 255; those of this env end at 1.")
        height, width, channels = self.module.input_shape
        if space.shape == (channels, height, width):
            raise ValueError(
                f"{who}: the encoder takes frames (height, width, 3), this env gives {space.shape}: put the encoder inside "
                "the wrapper that transposes them."
            )
        if space.shape[2] != channels:
            raise ValueError(
                f"{who}: the encoder takes single frames of {channels} channels, this env gives {space.shape}: show colours, and "
                "stack frames around this wrapper, not inside."
            )
        if space.shape != self.module.input_shape:
            raise ValueError(
                f"{who}: the encoder takes {height}x{width} frames, this env gives {space.shape}. Resize them, or make a world "
                f"of this project with image_size=({height}, {width})."
            )

    def _check_vector_space(self, space: spaces.Space[Any], who: str) -> None:
        fits = isinstance(space, spaces.Box) and space.dtype == np.float32
        if not fits or space.shape != self.module.input_shape:
            raise ValueError(
                f"{who}: the encoder reads {self.module.reads}; this env's observation is {_line(space)}. Make that world with "
                f"observation={self.module.config.observed!r}."
            )

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Features, float32 (B, D), of uint8 frames (B, H, W, 3).

        Raises:
            ValueError: another dtype or shape, or the encoder gives other features than it says.
        """
        check_pixels(pixels, self.module.input_shape)
        with threads_for(pixels[..., 0].size), torch.inference_mode():
            if len(pixels) <= BATCH:
                return self._forward(pixels)
            parts = np.split(pixels, range(BATCH, len(pixels), BATCH))
            return np.concatenate([self._forward(part) for part in parts])

    def _forward(self, pixels: np.ndarray) -> np.ndarray:
        fits = pixels.flags.c_contiguous and pixels.flags.writeable  # a mapped array is not: torch would warn
        tensor = torch.from_numpy(pixels if fits else np.array(pixels, order="C", subok=False))
        features = self.module(tensor.to(self._device)).cpu().numpy()
        wanted = (len(pixels), self.module.features_dim)
        if features.shape != wanted or features.dtype != np.float32:
            raise ValueError(
                f"{type(self.module).__name__} must give float32 features of shape {wanted}, by its features_dim; got "
                f"{features.dtype} of {features.shape}."
            )
        return features


def _line(space: spaces.Space[Any]) -> str:
    """A space in one line; NumPy breaks those of long bounds."""
    return " ".join(str(space).split())
