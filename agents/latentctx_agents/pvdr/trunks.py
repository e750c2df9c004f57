"""Small networks from what is read of plans and frames to a vector; actor, critic and places have one each."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latentctx_envs.encoders.dynamics.config import GRID

HIDDEN = 256  # units of a layer, and of the vector
CHANNELS = (64, 32)  # of the convolutions over frames of tokens
DROPOUT = 0.3  # of what the convolutions found

MakeTrunk = Callable[[int], nn.Module]  # a trunk that sees so many further numbers after what it reads


class VectorTrunk(nn.Sequential):
    """Two layers on plain numbers, (b, inputs) -> (b, HIDDEN).

    Args:
        inputs: how many.
        norm: bring each row to mean 0 and deviation 1 first; not where its size means something.
    """

    def __init__(self, inputs: int, *, norm: bool = True) -> None:
        first = [nn.LayerNorm(inputs)] if norm else []
        super().__init__(*first, nn.Linear(inputs, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU())


class PlanesTrunk(nn.Module):
    """Convolutions over planes of 8 x 8 tokens, then a layer that sees `more` further numbers as well.

    Args:
        planes: how many.
        more: numbers after them.
        dropout: of what the convolutions found.
    """

    def __init__(self, planes: int, more: int = 0, *, dropout: float = DROPOUT) -> None:
        super().__init__()
        self._planes = planes
        first, second = CHANNELS
        self.convolutions = nn.Sequential(
            nn.Conv2d(planes, first, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
        )
        self.last = nn.Sequential(
            nn.Linear(second * (GRID // 2) ** 2 + more, HIDDEN), nn.SiLU(), nn.Dropout(dropout)
        )

    def forward(self, values: Tensor) -> Tensor:
        """(b, planes * 64 + more) -> (b, HIDDEN)."""
        count = self._planes * GRID * GRID
        found = self.convolutions(values[:, :count].unflatten(1, (self._planes, GRID, GRID)))
        return self.last(torch.cat([found, values[:, count:]], dim=1))
