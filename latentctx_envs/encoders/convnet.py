"""The convnet of arXiv 2305.16985: convolutions, spatial softmax, one dense layer."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from latentctx_envs.encoders.base import Encoder, check_pixels

KERNEL = 3  # [pixels] side of every convolution, no padding
TRUNCATION = 0.87962566  # standard deviation of a unit normal cut at two standard deviations


@dataclass(frozen=True, kw_only=True)
class ConvNetConfig:
    """Shape of the convnet.

    Raises:
        ValueError: channels and strides differ in length, or the image is too small for them.
    """

    image_size: tuple[int, int] = (84, 84)  # (height, width) [pixels]
    channels: tuple[int, ...] = (32, 64, 128, 256)  # of the 3x3 convolutions
    strides: tuple[int, ...] = (2, 2, 1, 1)
    keypoints: int = 256  # maps of the 1x1 convolution, each giving an expected (x, y)
    features: int = 64  # output dimension
    centred: bool = False  # subtract a mean image (`center_on`) before scaling; the paper does not
    input_scale: float = 1.0  # factor on pixels/255, after centring

    def __post_init__(self) -> None:
        """Accept JSON's lists and refuse impossible shapes."""
        for name in ("image_size", "channels", "strides"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.channels) != len(self.strides) or not self.channels:
            raise ValueError(
                f"channels and strides must have the same length; got {self.channels} and {self.strides}."
            )
        numbers = (*self.image_size, *self.channels, *self.strides, self.keypoints, self.features)
        if any(not isinstance(number, int) or number < 1 for number in numbers):
            raise ValueError(
                f"sizes, channels, strides, keypoints and features are whole numbers from 1: {self}."
            )
        if len(self.image_size) != 2 or min(self.map_size) < 1:
            raise ValueError(f"image_size {self.image_size} is too small for strides {self.strides}.")

    @property
    def map_size(self) -> tuple[int, int]:
        """(height, width) of the last convolution's maps."""
        height, width = self.image_size
        for stride in self.strides:
            height, width = (height - KERNEL) // stride + 1, (width - KERNEL) // stride + 1
        return height, width


PAPER = ConvNetConfig()
# Small budgets: on a mostly constant picture the first thousands of steps go into cancelling the background;
# centring and scaling the input does that at once (docs/papers/inverse_dynamics.md has the measurement).
# 47 pixels are covered to the last by two windows of 3 with stride 2; at 48 the last row and column are not seen.
QUICK = ConvNetConfig(
    image_size=(47, 47),
    channels=(16, 32),
    strides=(2, 2),
    keypoints=32,
    centred=True,
    input_scale=5.0,
)


class Gelu(nn.Module):
    """GELU with the paper's tanh; in place where no gradient is recorded, which saves fresh memory at each call."""

    def forward(self, maps: Tensor) -> Tensor:
        """The activated maps; without gradients they replace `maps`."""
        if torch.is_grad_enabled():
            return nn.functional.gelu(maps, approximate="tanh")
        return torch.ops.aten.gelu_(maps, approximate="tanh")


class SpatialSoftmax(nn.Module):
    """Expected (x, y) in [-1, 1] of each map under its softmax: (B, K, H, W) -> (B, 2 K), all x first."""

    x: Tensor
    y: Tensor

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.register_buffer("x", torch.linspace(-1, 1, width), persistent=False)
        self.register_buffer("y", torch.linspace(-1, 1, height), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Expected coordinates of each map."""
        weights = maps.flatten(2).softmax(dim=-1).view_as(maps)
        across = (weights.sum(dim=2) * self.x).sum(dim=-1)
        down = (weights.sum(dim=3) * self.y).sum(dim=-1)
        return torch.cat([across, down], dim=-1)


class ConvNet(Encoder):
    """pixels/255 -> [3x3 conv, GELU]* -> 1x1 conv -> spatial softmax -> dense -> layer norm -> tanh."""

    config_type = ConvNetConfig
    config: ConvNetConfig
    feature_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    center: Tensor

    def __init__(self, config: ConvNetConfig = PAPER) -> None:
        super().__init__(config)
        layers: list[nn.Module] = []
        before = 3
        for channels, stride in zip(config.channels, config.strides, strict=True):
            layers += [nn.Conv2d(before, channels, KERNEL, stride), Gelu()]
            before = channels
        layers += [nn.Conv2d(before, config.keypoints, 1), SpatialSoftmax(*config.map_size)]
        self.points = nn.Sequential(*layers)
        self.dense = nn.Linear(2 * config.keypoints, config.features)
        self.norm = nn.LayerNorm(config.features, eps=1e-6)
        self.apply(lecun_normal_)
        if config.centred:
            height, width = config.image_size  # channels last in memory, or subtracting it is slow
            self.register_buffer("center", torch.zeros(height, width, 3).permute(2, 0, 1))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, 3)."""
        return (*self.config.image_size, 3)

    @property
    def features_dim(self) -> int:
        """Number of features."""
        return self.config.features

    def center_on(self, frames: np.ndarray) -> None:
        """Take the mean of uint8 frames (n, h, w, 3) as the image to subtract; without `centred` nothing happens."""
        if self.config.centred:
            check_pixels(frames, self.input_shape)
            mean = frames.mean(axis=0, dtype=np.float64) / 255.0
            self.center.copy_(torch.from_numpy(mean).permute(2, 0, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Features (B, D) in [-1, 1] of uint8 pixels (B, H, W, 3)."""
        check_pixels(pixels, self.input_shape)
        scaled = pixels.permute(0, 3, 1, 2).float() / 255.0  # NHWC memory read as channels-last NCHW
        if self.config.centred:
            scaled = scaled - self.center
        if self.config.input_scale != 1.0:
            scaled = scaled * self.config.input_scale
        return torch.tanh(self.norm(self.dense(self.points(scaled))))


def lecun_normal_(module: nn.Module) -> None:
    """Flax' default initialisation: truncated normal of variance 1/fan_in, zero bias."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        deviation = 1.0 / math.sqrt(module.weight[0].numel()) / TRUNCATION
        nn.init.trunc_normal_(module.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
