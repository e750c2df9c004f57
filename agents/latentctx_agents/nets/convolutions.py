"""The convolutions between frames of 64 pixels and vectors that Dreamer and AIME use."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from latentctx_agents.nets.gaussian import Normal

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


class ImageDecoder64(nn.Module):
    """Vectors (..., i) -> normal distributions over frames / 255, (..., 3, 64, 64), of standard deviation 1."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, 1024)
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(1024, 128, 5, 2), nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 5, 2), nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 6, 2), nn.ReLU(),
            nn.ConvTranspose2d(32, 3, 6, 2), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, vectors: Tensor) -> Normal:
        """The distributions; their standard deviation is one number, not a frame of ones."""
        seed = self.dense(vectors).reshape(-1, 1024, 1, 1)
        frames = self.layers(seed).reshape(*vectors.shape[:-1], 3, SIDE, SIDE)
        return Normal(frames, frames.new_ones(()))
