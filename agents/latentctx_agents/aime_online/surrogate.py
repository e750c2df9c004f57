"""The surrogate reward: a discriminator tells demonstrated observations from others (AIME-NoB, arXiv 2404.18896)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

LEAST_SPREAD = 0.1  # share of the largest standard deviation


class Discriminator(nn.Module):
    """Embeddings of single observations (..., e) -> log-odds (...) that they were demonstrated.

    With D the probability of it, the log-odds are log D - log(1 - D): the surrogate reward itself.

    It sees embeddings in standard deviations, so that a slope of 1, which its penalty wants, tells as much of a body
    whose numbers are small as of one whose are large.

    Args:
        inputs: e.
        hidden: widths of the hidden layers.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((inputs, *hidden), hidden, strict=False):
            layers += [nn.Linear(before, after), nn.ELU()]
        self.network = nn.Sequential(*layers, nn.Linear(hidden[-1], 1))
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))

    def measure(self, embeddings: Tensor) -> None:
        """Keep mean and standard deviation of embeddings (n, e), as what `standard` goes by.

        A number that hardly moves counts as moving by a tenth of what the liveliest does.
        """
        self.mean.copy_(embeddings.mean(dim=0))
        std = embeddings.std(dim=0)
        self.std.copy_(std.clamp_min(LEAST_SPREAD * std.max()).clamp_min(1e-6))

    def standard(self, embeddings: Tensor) -> Tensor:
        """Embeddings (..., e) as deviations from the mean, in standard deviations."""
        return (embeddings - self.mean) / self.std

    def forward(self, embeddings: Tensor) -> Tensor:
        """The log-odds."""
        return self.judge(self.standard(embeddings))

    def judge(self, standard: Tensor) -> Tensor:
        """The log-odds of what `standard` gave."""
        return self.network(standard)[..., 0]


class Verdict(NamedTuple):
    """What a discriminator minimises, and numbers to log."""

    loss: Tensor
    metrics: dict[str, Tensor]


def gradient_penalty(discriminator: Discriminator, shown: Tensor, own: Tensor, mix: Tensor) -> Tensor:
    """Mean squared difference from 1 of the slope's length, between pairs of either side (arXiv 1704.00028, eq. 3).

    Args:
        discriminator: whose log-odds' slope by the embedding in standard deviations is meant.
        shown: embeddings of demonstrations (..., e), without gradient.
        own: as many others (..., e), without gradient.
        mix: where between the two, in [0, 1] (..., 1); 1 is the demonstration.
    """
    between = discriminator.standard(torch.lerp(own, shown, mix)).requires_grad_(True)
    (slope,) = torch.autograd.grad(discriminator.judge(between).sum(), between, create_graph=True)
    return (slope.norm(dim=-1) - 1.0).square().mean()


def discriminator_loss(
    discriminator: Discriminator, shown: Tensor, own: Tensor, mix: Tensor, penalty: float
) -> Verdict:
    """Cross-entropy of either side's mean, added, and the weighted gradient penalty.

    Args:
        discriminator: learns.
        shown: embeddings of demonstrations (..., e), without gradient.
        own: embeddings of the agent's and of old data (..., e), without gradient.
        mix: as `gradient_penalty` takes it.
        penalty: its weight.
    """
    odds_shown, odds_own = discriminator(shown), discriminator(own)
    entropy = F.softplus(-odds_shown).mean() + F.softplus(odds_own).mean()
    steep = gradient_penalty(discriminator, shown, own, mix)
    metrics = {
        "discriminator_loss": entropy,
        "discriminator_penalty": steep,
        "judged_shown": torch.sigmoid(odds_shown).mean(),
        "judged_own": torch.sigmoid(odds_own).mean(),
    }
    return Verdict(entropy + penalty * steep, {name: value.detach() for name, value in metrics.items()})
