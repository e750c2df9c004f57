"""Attention in space, then in time, then one MLP: the block of a spatio-temporal transformer."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from latentctx_envs.encoders.dynamics.config import GRID, DynamicsConfig

MLP_RATIO = 4
INIT_STD = 0.02


class Attention(nn.Module):
    """Self-attention among the second axis of (b, n, d), every position seeing every other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inputs = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width)

    def forward(self, values: Tensor) -> Tensor:
        """(b, n, d) -> (b, n, d)."""
        parts = self.inputs(values).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = attend(*parts.unbind(0))
        return self.output(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention inside each frame, attention of each position over time, one MLP after both."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.space_norm, self.time_norm, self.mlp_norm = (nn.LayerNorm(width) for _ in range(3))
        self.space, self.time = Attention(width, heads), Attention(width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, MLP_RATIO * width), nn.GELU(), nn.Linear(MLP_RATIO * width, width)
        )

    def forward(self, values: Tensor) -> Tensor:
        """(b, t, p, d) -> (b, t, p, d)."""
        batch, frames = values.shape[:2]
        values = values + self.space(self.space_norm(values).flatten(0, 1)).unflatten(0, (batch, frames))
        by_position = self.time_norm(values).transpose(1, 2).flatten(0, 1)
        values = values + self.time(by_position).unflatten(0, (batch, -1)).transpose(1, 2)
        return values + self.mlp(self.mlp_norm(values))


class TokenEmbedding(nn.Module):
    """Tokens of frames -> positions: the tokens of a square side by side, and where and when they stand.

    Args:
        config: sizes.
        frames: that there is a time for.
        changes: tokens that differ from the frame before are marked.
    """

    def __init__(self, config: DynamicsConfig, frames: int, *, changes: bool = False) -> None:
        super().__init__()
        self._merge = config.merge
        each = config.width // config.merge**2
        self.tokens = nn.Embedding(config.tokenizer.codes, each)
        self.changed = nn.Parameter(torch.zeros(each)) if changes else None
        self.place = nn.Parameter(INIT_STD * torch.randn(config.positions, config.width))
        self.time = nn.Parameter(INIT_STD * torch.randn(frames, 1, config.width))

    def forward(self, tokens: Tensor) -> Tensor:
        """(b, t, 64) int64 -> (b, t, p, d)."""
        values = self.tokens(tokens)
        if self.changed is not None:
            differs = torch.zeros_like(tokens, dtype=values.dtype)
            differs[:, 1:] = (tokens[:, 1:] != tokens[:, :-1]).to(values.dtype)
            values = values + differs[..., None] * self.changed
        return merged(values, self._merge) + self.place + self.time[: tokens.shape[1]]


class Pool(nn.Module):
    """One vector of all positions: a learned query attends to them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query = nn.Parameter(INIT_STD * torch.randn(width))
        self.inputs = nn.Linear(width, 2 * width, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        """(b, t, p, d) -> (b, d)."""
        seen = self.norm(values.flatten(1, 2))
        keys, contents = self.inputs(seen).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        query = self.query.view(1, self.heads, 1, -1).expand(len(seen), -1, -1, -1)
        return attend(query, keys, contents).flatten(1)


class Trunk(nn.Module):
    """Embedding and blocks over frames of tokens.

    Args:
        config: sizes.
        blocks: how many.
        frames: that it sees.
        changes: as of `TokenEmbedding`.
    """

    def __init__(self, config: DynamicsConfig, blocks: int, frames: int, *, changes: bool = False) -> None:
        super().__init__()
        self.embedding = TokenEmbedding(config, frames, changes=changes)
        self.blocks = nn.Sequential(*(Block(config.width, config.heads) for _ in range(blocks)))

    def forward(self, tokens: Tensor) -> Tensor:
        """(b, t, 64) int64 -> (b, t, p, d)."""
        return self.blocks(self.embedding(tokens))


def attend(queries: Tensor, keys: Tensor, contents: Tensor) -> Tensor:
    """Softmax attention of (b, h, n, e) to (b, h, k, e): (b, h, n, e).

    Under bfloat16 on a CPU it is taken in float32, step by step: the fused one's gradient is slow there, for
    sequences as short as these (half of a training step).
    """
    if queries.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return F.scaled_dot_product_attention(queries, keys, contents)
    with torch.autocast("cpu", enabled=False):
        scores = (queries.float() * queries.shape[-1] ** -0.5) @ keys.float().transpose(-1, -2)
        return scores.softmax(dim=-1) @ contents.float()


def merged(values: Tensor, merge: int) -> Tensor:
    """Values of tokens (b, t, 64, e) as values of squares of them (b, t, p, merge * merge * e)."""
    side = GRID // merge
    split = values.unflatten(2, (side, merge, side, merge)).transpose(3, 4)
    return split.flatten(4).flatten(2, 3)


def split_up(values: Tensor, merge: int) -> Tensor:
    """The other way: (b, t, p, merge * merge * e) -> (b, t, 64, e)."""
    side = GRID // merge
    split = values.unflatten(2, (side, side)).unflatten(4, (merge, merge, -1))
    return split.transpose(3, 4).flatten(2, 5)
