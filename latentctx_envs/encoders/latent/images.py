"""The convolutions from frames of 64 pixels to vectors that Dreamer and AIME use."""

from typing import ClassVar

import torch
from torch import Tensor, nn

CHANNELS = (32, 64, 128, 256)
SIDE = 64  # [pixels]


class ImageEncoder64(nn.Module):
    """uint8 frames (n, 64, 64, 3) -> (n, 1024): four convolutions of 4x4, stride 2, ReLU between them."""

    embedding: ClassVar[int] = 1024

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for after in CHANNELS:
            layers += [nn.Conv2d(before, after, 4, 2), nn.ReLU()]
            before = after
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, pixels: Tensor) -> Tensor:
        """Embeddings of the frames / 255."""
        return self.layers(pixels.permute(0, 3, 1, 2).to(torch.float32) / 255.0).flatten(1)
