"""ResNet-18 (arXiv 1512.03385) as an encoder: pretrained on ImageNet, or by R3M (arXiv 2203.12601), from a weights file.

Written out here because torchvision's wheels, which timm needs too, do not run beside every build of torch. Parameters
have torchvision's names, which timm and R3M share.
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from latentctx_envs.encoders.base import Encoder, check_pixels

WIDTHS = (64, 128, 256, 512)  # channels of the four stages
MEAN, DEVIATION = (
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)  # of ImageNet's pixels / 255, both sources use them


@dataclass(frozen=True, kw_only=True)
class ResNet18Config:
    """What happens to a frame before the network.

    Raises:
        ValueError: a size is below 1, or the crop is larger than the picture.
    """

    image_size: tuple[int, int] = (120, 120)  # (height, width) of the frames [pixels]
    resize: int = 256  # side that they are scaled to [pixels]
    crop: int = 224  # side of the middle that is kept [pixels]; arXiv 2305.16985 loses the outer eighth so

    def __post_init__(self) -> None:
        """Accept JSON's lists and refuse impossible sizes."""
        object.__setattr__(self, "image_size", tuple(self.image_size))
        if min(*self.image_size, self.crop) < 1 or self.crop > self.resize:
            raise ValueError(f"sizes start at 1 and the crop fits into the picture: {self}.")


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of the block."""
        inner = torch.relu(self.bn1(self.conv1(maps)))
        return torch.relu(self.bn2(self.conv2(inner)) + self.downsample(maps))


class ResNet18(Encoder):
    """uint8 frames -> scaled, cropped, standardised -> ResNet-18 -> 512 pooled features."""

    config_type = ResNet18Config
    config: ResNet18Config
    feature_range = (0.0, float("inf"))
    mean: Tensor
    deviation: Tensor

    def __init__(self, config: ResNet18Config | None = None) -> None:
        super().__init__(config or ResNet18Config())
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        before = WIDTHS[0]
        for index, width in enumerate(WIDTHS):
            stage = nn.Sequential(Block(before, width, 1 if index == 0 else 2), Block(width, width, 1))
            self.add_module(f"layer{index + 1}", stage)
            before = width
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, 3)."""
        return (*self.config.image_size, 3)

    @property
    def features_dim(self) -> int:
        """512."""
        return WIDTHS[-1]

    def train(self, mode: bool = True) -> Self:
        """The pretrained statistics are never trained: the encoder stays in evaluation mode."""
        return super().train(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Features (B, 512) of uint8 pixels (B, H, W, 3)."""
        check_pixels(pixels, self.input_shape)
        side, crop = self.config.resize, self.config.crop
        frames = pixels.permute(0, 3, 1, 2).float() / 255.0
        frames = nn.functional.interpolate(
            frames, (side, side), mode="bilinear", align_corners=False, antialias=True
        )
        edge = (side - crop) // 2
        return self.pooled((frames[..., edge : edge + crop, edge : edge + crop] - self.mean) / self.deviation)

    def pooled(self, frames: Tensor) -> Tensor:
        """Features (B, 512) of standardised frames (B, 3, h, w)."""
        maps = torch.relu(self.bn1(self.conv1(frames)))
        maps = nn.functional.max_pool2d(maps, 3, 2, padding=1)
        for index in range(len(WIDTHS)):
            maps = self.get_submodule(f"layer{index + 1}")(maps)
        return maps.mean(dim=(2, 3))

    @classmethod
    def from_weights(cls, path: Path, config: ResNet18Config | None = None) -> Self:
        """Read torchvision's or timm's ResNet-18, or R3M's checkpoint; nothing but tensors is read from a pickle.

        Args:
            path: `.safetensors`, `.pth` or `.pt`, downloaded by you.
            config: of the frames.

        Raises:
            ValueError: the file is missing, damaged, or holds another network.
        """
        encoder = cls(config)
        weights = _named(_tensors(path))
        expected = encoder.state_dict()
        problems = [f"{name} is missing" for name in expected if name not in weights]
        problems += [
            f"{name} has shape {tuple(weights[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in weights and weights[name].shape != tensor.shape
        ]
        if problems:
            raise ValueError(f"{path} holds no ResNet-18: {problems[0]}.")
        encoder.load_state_dict({name: weights[name] for name in expected})
        encoder.training_record = {"objective": "pretrained", "weights": path.name}
        return encoder.eval()


def _tensors(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}: download the weights first.") from None
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} is damaged or no file of weights ({reason}).") from None
    if not isinstance(found, Mapping):
        raise ValueError(f"{path} holds no named weights.")
    return found


def _named(tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    """The network's own tensors under torchvision's names; R3M's checkpoint keeps them under "r3m"."""
    if isinstance(tensors.get("r3m"), Mapping):
        tensors = tensors["r3m"]
    found = {}
    for name, tensor in tensors.items():
        if isinstance(tensor, Tensor):
            found[name.removeprefix("module.").removeprefix("convnet.")] = tensor
    return found
