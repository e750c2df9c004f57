"""A learned distance: frames become places, and the way from one to another is the sum of the actions done between.

    loss  |place(o_j) - place(o_i) - (a_i + ... + a_{j-1})|, for frames i < j of one episode

This is inverse dynamics over many steps whose head is a plain difference, so that places form a space in which a distance
counts full actions. Nothing but actions teaches it: no reward, no label. It knows what actions move; what they move only
by contact it knows as far as that goes along with it.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from latentctx_agents.optim import Metrics, Stepper
from latentctx_agents.pvdr.model import DynamicsModel
from latentctx_agents.pvdr.replay import Replay
from latentctx_agents.pvdr.tokenizer import Tokenizer
from latentctx_agents.pvdr.trunks import HIDDEN, PlanesTrunk

DROPOUT = 0.1  # of what the convolutions found


@dataclass(frozen=True, kw_only=True)
class MetricConfig:
    """How places are learned.

    Raises:
        ValueError: a number is out of range.
    """

    first_steps: int = 1500  # after the random episodes
    steps: int = 100  # after each rollout
    batch_size: int = 128  # pairs of frames
    horizon: int = 30  # decisions between the two, at most
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    noise: float = 0.0  # on each number of the vectors of tokens, in their standard deviations

    def __post_init__(self) -> None:
        """Refuse what cannot be run in words."""
        if min(self.batch_size, self.horizon) < 1 or min(self.first_steps, self.steps) < 0:
            raise ValueError("batch_size and horizon start at 1, first_steps and steps at 0.")
        if not (self.learning_rate > 0.0 and self.weight_decay >= 0.0 and self.noise >= 0.0):
            raise ValueError("learning_rate must be above 0, weight_decay and noise at least 0.")


class ActionMetric(nn.Module):
    """Places of frames, in units of actions.

    Args:
        tokenizer: whose tokens; it must stay as it is.
        actions: numbers of an action.
    """

    vectors: Tensor

    def __init__(self, tokenizer: Tokenizer, actions: int) -> None:
        super().__init__()
        self.register_buffer("vectors", standardised(tokenizer))
        self.trunk = PlanesTrunk(self.vectors.shape[1], dropout=DROPOUT)
        self.place = nn.Linear(HIDDEN, actions)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (..., 64) -> places (..., a)."""
        return self.of_vectors(self.vectors[tokens])

    def foretold(self, model: DynamicsModel, context: Tensor, latents: Tensor) -> Tensor:
        """Places of the frames that plans foretell, (b, k, n, a).

        What is expected of a foretold frame is a blurred frame, and its place is off by more than a plan moves anything. All
        plans of a context are off by nearly the same, so a place is where the body is, and the way to there from what is
        foretold with the prior's mean:

            place(now) + place(D(context, z)) - place(D(context, mean of p(z | context)))

        Args:
            model: foretells.
            context: tokens (b, m, 64).
            latents: k plans for each context, (b, k, z).
        """
        assert model.prior is not None
        usual = model.prior(context).mean[:, None]
        every = torch.cat([usual, latents], dim=1)
        repeated = context[:, None].expand(-1, every.shape[1], -1, -1)
        expected = model.decoder.expected(repeated.flatten(0, 1), every.flatten(0, 1), self.vectors)
        places = self.of_vectors(expected).unflatten(0, every.shape[:2])
        return self(context[:, -1])[:, None, None] + places[:, 1:] - places[:, :1]

    def of_vectors(self, vectors: Tensor) -> Tensor:
        """Vectors of tokens, or what is expected of them, (..., 64, c) -> places (..., a)."""
        planes = vectors.reshape(-1, *vectors.shape[-2:]).movedim(-1, 1).flatten(1)
        return self.place(self.trunk(planes)).view(*vectors.shape[:-2], -1)


class MetricLearner:
    """A metric and what trains it.

    Args:
        metric: is trained.
        config: how.
        rng: draws pairs of frames.
    """

    def __init__(self, metric: ActionMetric, config: MetricConfig, rng: np.random.Generator) -> None:
        self.metric, self.config, self._rng = metric.eval(), config, rng
        self._stepper = Stepper(
            [metric], learning_rate=config.learning_rate, weight_decay=config.weight_decay
        )

    def learn(self, replay: Replay, steps: int) -> Metrics:
        """Steps on pairs of frames of a replay, at a rate that falls to a tenth; the mean loss of the last hundred."""
        losses = []
        self.metric.train()
        for step in range(steps):
            loss = self.loss(replay)
            self._stepper.step(loss, learning_rate=self.config.learning_rate * (1.0 - 0.9 * step / steps))
            losses.append(loss.item())
        self.metric.eval()
        return {"metric": float(np.mean(losses[-100:]))} if losses else {}

    def loss(self, replay: Replay) -> Tensor:
        """Of one batch; large errors count linearly, since walls stop a body whose actions go on."""
        first, last, done = replay.pairs(self._rng, self.config.batch_size, self.config.horizon)
        return F.smooth_l1_loss(self._place(last) - self._place(first), done)

    def _place(self, tokens: Tensor) -> Tensor:
        vectors = self.metric.vectors[tokens]
        if self.config.noise:
            vectors = vectors + self.config.noise * torch.randn_like(vectors)
        return self.metric.of_vectors(vectors)


def standardised(tokenizer: Tokenizer) -> Tensor:
    """The codebook's vectors (codes, c), each number with mean 0 and standard deviation 1."""
    codes = tokenizer.encoder.codebook.detach()
    return (codes - codes.mean(dim=0)) / codes.std(dim=0).clamp_min(1e-6)
