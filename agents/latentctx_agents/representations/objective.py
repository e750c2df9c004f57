"""What every pretraining objective is: a loss on an encoder and a batch, with a head of its own."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from latentctx_agents.nets import mlp
from latentctx_envs.encoders import Encoder

Metrics = dict[str, float]
PROJECTION = 64  # length of the vectors that contrastive objectives compare


class Batch(NamedTuple):
    """Transitions on the device: o_t, a_t .. a_t+n-1, o_t+n."""

    pixels: Tensor  # uint8 (b, h, w, 3)
    actions: Tensor  # float32 (b, n, a)
    next_pixels: Tensor  # uint8 (b, h, w, 3)


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """Shape of an objective's head; the numbers are the paper's.

    Raises:
        ValueError: a number is out of range.
    """

    action_dim: int
    n_step: int = 1  # distance between the two frames [steps]; inverse and implicit forward dynamics
    hidden: tuple[int, ...] = (256, 256)  # widths of every head
    dropout: float = 0.1  # after each hidden layer of an action head
    lecun_heads: bool = False  # the paper's initial weights for every head instead of torch's smaller ones
    temperature: float = 1.0  # of the contrastive softmax
    decoder_width: float = 1.0  # factor on the image decoder's channels

    def __post_init__(self) -> None:
        """Refuse impossible numbers in words."""
        if self.n_step < 1 or self.action_dim < 1:
            raise ValueError(f"n_step and action_dim start at 1; got {self.n_step}, {self.action_dim}.")
        if not 0.0 <= self.dropout < 1.0 or self.temperature <= 0.0:
            raise ValueError("dropout must be in [0, 1) and temperature above 0.")


class Objective(nn.Module, ABC):
    """A loss that trains an encoder; it owns the head, which is thrown away afterwards."""

    uses_next: ClassVar[bool] = True  # False: the second frame of a transition is not looked at
    uses_shifts: ClassVar[bool] = True  # False: trained without random shifts (the paper's choice)
    multi_step: ClassVar[bool] = False  # True: defined for n_step above 1
    same_frame: ClassVar[bool] = False  # True: the second frame is another view of the first

    def __init__(self, encoder: Encoder, config: ObjectiveConfig) -> None:
        super().__init__()
        if config.n_step > 1 and not self.multi_step:
            raise ValueError(f"{type(self).__name__} is defined for n_step=1; got {config.n_step}.")
        self.config = config

    @abstractmethod
    def loss(self, encoder: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """The scalar loss of a batch and its metrics; nothing is changed."""


class ActionEncoder(nn.Sequential):
    """Actions (b, n, a) -> (b, 64): MLP, layer norm, tanh."""

    def __init__(self, config: ObjectiveConfig) -> None:
        inputs = config.n_step * config.action_dim
        super().__init__(
            nn.Flatten(),
            projector(inputs, config),
            nn.LayerNorm(PROJECTION, eps=1e-6),
            nn.Tanh(),
        )


def projector(inputs: int, config: ObjectiveConfig) -> nn.Sequential:
    """MLP to the vectors that contrastive objectives compare."""
    return mlp(inputs, PROJECTION, hidden=config.hidden, lecun=config.lecun_heads)


def action_head(inputs: int, config: ObjectiveConfig) -> nn.Sequential:
    """The head that predicts an action in [-1, 1]: MLP with dropout, tanh output."""
    return mlp(
        inputs,
        config.action_dim,
        hidden=config.hidden,
        dropout=config.dropout,
        last=nn.Tanh(),
        lecun=config.lecun_heads,
    )


def action_error(predicted: Tensor, action: Tensor) -> Tensor:
    """Mean squared error over batch and action dimensions."""
    return (predicted - action).square().mean()


def info_nce(queries: Tensor, keys: Tensor, temperature: float) -> tuple[Tensor, Metrics]:
    """Row-wise InfoNCE of matching rows, all other rows being negatives.

    Args:
        queries: (b, d), normalised here.
        keys: (b, d), normalised here.
        temperature: divides the cosine similarities.
    """
    queries = nn.functional.normalize(queries, dim=-1)
    keys = nn.functional.normalize(keys, dim=-1)
    logits = queries @ keys.T / temperature
    target = torch.arange(len(logits), device=logits.device)
    loss = nn.functional.cross_entropy(logits, target)
    accuracy = (logits.argmax(dim=-1) == target).float().mean()
    return loss, {"accuracy": accuracy.item()}
