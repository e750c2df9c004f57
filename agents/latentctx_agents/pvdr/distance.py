"""How far tokens are from a goal's tokens: in colours, as `image_distance` blurs them, and in the codebook."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentctx_agents.pvdr.tokenizer import Tokenizer
from latentctx_envs.encoders.dynamics.config import GRID, PATCH

LEAST = 1e-6  # of what distances are divided by


class TokenDistance:
    """Mean squared differences of what two frames' tokens stand for, as shares of those at an episode's start.

    A token stands for a patch of 8 px, and so do the blocks that `image_distance` averages: a table of the mean colour
    that each token stood for gives the distance of a foretold frame without drawing it.

    Args:
        tokenizer: whose tokens.
        frames: uint8 (f, 64, 64, 3) of the world, of which the colours are learned.
    """

    def __init__(self, tokenizer: Tokenizer, frames: np.ndarray) -> None:
        self._codes = tokenizer.encoder.codebook
        self._colours = colours_of(tokenizer, torch.from_numpy(np.ascontiguousarray(frames)))

    def parts(self, tokens: Tensor, goal: Tensor) -> Tensor:
        """Both distances, (..., 2): of colours and of the codebook's vectors; tokens (..., 64), broadcast."""
        return torch.stack(
            [
                (table[tokens] - table[goal]).square().mean(dim=(-2, -1))
                for table in (self._colours, self._codes)
            ],
            dim=-1,
        )

    def scale(self, start: Tensor, goal: Tensor) -> Tensor:
        """What the distances of an episode are divided by, (..., 2)."""
        return self.parts(start, goal).clamp_min(LEAST)

    def __call__(self, tokens: Tensor, goal: Tensor, scale: Tensor) -> Tensor:
        """The mean of both shares, (...)."""
        return (self.parts(tokens, goal) / scale).mean(dim=-1)


class Plan(NamedTuple):
    """What was chosen for each of b environments."""

    latent: Tensor  # (b, z)
    future: Tensor  # tokens int64 (b, n, 64) that it foretells
    distance: Tensor  # (b,) the least of its frames' distances to the goal


@torch.no_grad()
def colours_of(tokenizer: Tokenizer, frames: Tensor) -> Tensor:
    """Mean colour in [0, 1] of the patches that each token stood for in frames (f, 64, 64, 3); (codes, 3).

    A token that never occurs has the colour of a frame that is made of it alone.
    """
    device = tokenizer.encoder.codebook.device
    frames = frames.to(device)
    tokens = torch.cat([tokenizer.encoder(part) for part in frames.split(256)]).flatten()
    blocks = frames.view(-1, GRID, PATCH, GRID, PATCH, 3).to(torch.float32).mean(dim=(2, 4)) / 255.0
    count = torch.bincount(tokens, minlength=tokenizer.config.codes)
    total = torch.zeros(tokenizer.config.codes, 3, device=device).index_add_(0, tokens, blocks.flatten(0, 2))
    alone = torch.arange(tokenizer.config.codes, device=device)[:, None].expand(-1, GRID * GRID)
    drawn = tokenizer.pixels(alone).to(torch.float32).mean(dim=(1, 2)) / 255.0
    return torch.where(count[:, None] > 0, total / count[:, None].clamp_min(1), drawn)
