"""Frames as tokens: each patch is the nearest vector of a codebook.

The encoder sees one patch at a time. With a receptive field beyond the patch, what moves in one place changes tokens
elsewhere, and a model of dynamics spends itself on that.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from latentctx_envs.encoders.dynamics.config import GRID, PATCH, SIDE, TokenizerConfig


class Residual(nn.Module):
    """A layer of width c on each patch, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, values: Tensor) -> Tensor:
        """(..., c) -> (..., c)."""
        return values + self.layers(values)


class FrameEncoder(nn.Module):
    """Frames -> codes of their patches -> tokens.

    Args:
        config: sizes.
    """

    codebook: Tensor

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.patches = nn.Sequential(
            nn.Linear(3 * PATCH * PATCH, config.hidden),
            *(Residual(config.hidden) for _ in range(config.residuals)),
            nn.GELU(),
            nn.Linear(config.hidden, config.code_dim),
        )
        # moved by averages of what is assigned to it, not by gradients
        self.register_buffer("codebook", torch.randn(config.codes, config.code_dim))

    def codes(self, pixels: Tensor) -> Tensor:
        """What the encoder makes of uint8 frames (b, 64, 64, 3) before it is rounded, (b, 64, c)."""
        return self.patches(patches_of(pixels))

    def nearest(self, codes: Tensor) -> Tensor:
        """Indices int64 of the vectors of the codebook that are nearest to codes (..., c)."""
        flat = codes.reshape(-1, self.config.code_dim)
        distance = torch.addmm(self.codebook.square().sum(1), flat, self.codebook.t(), alpha=-2.0)
        return distance.argmin(dim=1).view(codes.shape[:-1])

    def forward(self, pixels: Tensor) -> Tensor:
        """Tokens int64 (b, 64), row by row, of uint8 frames (b, 64, 64, 3)."""
        return self.nearest(self.codes(pixels))

    def vectors(self, tokens: Tensor) -> Tensor:
        """The codebook's vectors (..., c) of tokens (...)."""
        return F.embedding(tokens, self.codebook)


def patches_of(pixels: Tensor) -> Tensor:
    """The patches of uint8 frames (b, 64, 64, 3) as rows of numbers in [-1, 1], (b, 64, 192).

    Raises:
        ValueError: another shape or dtype.
    """
    if pixels.dtype is not torch.uint8:
        raise ValueError(f"frames must be uint8, 0 to 255; got {str(pixels.dtype).removeprefix('torch.')}.")
    if pixels.shape[1:] != (SIDE, SIDE, 3):
        raise ValueError(f"frames must be ({SIDE}, {SIDE}, 3); got {tuple(pixels.shape[1:])}.")
    split = pixels.view(-1, GRID, PATCH, GRID, PATCH, 3).transpose(2, 3)
    return split.reshape(-1, GRID * GRID, PATCH * PATCH * 3).to(torch.float32) / 127.5 - 1.0
