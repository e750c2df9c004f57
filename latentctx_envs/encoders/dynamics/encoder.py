"""What a video model makes of the last frames, as an encoder: the prior's side of it, which never looks ahead."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from latentctx_envs.encoders.dynamics.blocks import Pool, Trunk
from latentctx_envs.encoders.dynamics.config import GRID, SIDE, DynamicsConfig
from latentctx_envs.encoders.dynamics.tokenizer import FrameEncoder
from latentctx_envs.encoders.stateful import StatefulEncoder

UNSEEN = -1  # a token of a frame before an episode's first


@dataclass(frozen=True, kw_only=True)
class DynamicsEncoderConfig:
    """What a video model's encoder is made of.

    Raises:
        ValueError: sizes that cannot be built.
    """

    model: DynamicsConfig = field(default_factory=DynamicsConfig)

    def __post_init__(self) -> None:
        """Accept JSON's dictionary."""
        if isinstance(self.model, dict):
            object.__setattr__(self, "model", DynamicsConfig(**self.model))


class Seen(NamedTuple):
    """Tokens of the last m frames, int64 (b, m, 64); the first frame stands for those before it."""

    context: Tensor


class ContextTrunk(nn.Module):
    """Features of seen frames: the trunk that the prior is read from."""

    def __init__(self, config: DynamicsConfig) -> None:
        super().__init__()
        self.trunk = Trunk(config, config.prior_blocks, config.context, changes=True)
        self.pool = Pool(config.width, config.heads)

    def forward(self, context: Tensor) -> Tensor:
        """Tokens (b, m, 64) -> (b, d)."""
        return self.pool(self.trunk(context))


class DynamicsEncoder(StatefulEncoder):
    """The context's features of a video model: frames of 64 px in, of which it remembers the last m."""

    config_type: ClassVar[type[Any]] = DynamicsEncoderConfig

    def __init__(self, config: DynamicsEncoderConfig) -> None:
        super().__init__(config)
        self.frames = FrameEncoder(config.model.tokenizer)
        self.context = ContextTrunk(config.model)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(64, 64, 3)."""
        return (SIDE, SIDE, 3)

    @property
    def reads(self) -> str:
        """What it takes, in words."""
        return f"{super().reads}, of which it remembers the last {self.config.model.context}, and no actions"

    @property
    def features_dim(self) -> int:
        """Width of the model."""
        return self.config.model.width

    @property
    def observed(self) -> str:
        """Frames."""
        return "pixels"

    @property
    def followed_actions(self) -> int | None:
        """None: it has never seen an action."""
        return None

    def initial(self, batch: int) -> Seen:
        """Nothing was seen."""
        device = self.frames.codebook.device
        size = (batch, self.config.model.context, GRID * GRID)
        return Seen(torch.full(size, UNSEEN, dtype=torch.int64, device=device))

    def follow(self, state: Seen, observations: Tensor, actions: Tensor) -> Seen:
        """What was seen, with frames uint8 (b, 64, 64, 3) as the last."""
        fresh = self.frames(observations)[:, None]
        rolled = torch.cat([state.context[:, 1:], fresh], dim=1)
        return Seen(torch.where(rolled == UNSEEN, fresh, rolled))

    def features_of(self, state: Seen) -> Tensor:
        """Features (b, d) of what was seen."""
        return self.context(state.context)
