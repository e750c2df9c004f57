"""The evidence bound of a window of tokens, and its parts."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from latentctx_agents.pvdr.model import DynamicsModel, split
from latentctx_envs.encoders.latent.gaussian import kl_divergence


@dataclass(frozen=True, kw_only=True)
class EvidenceConfig:
    """Weights of the bound's parts.

    Raises:
        ValueError: a number is out of range.
    """

    changed_weight: float = 3.0  # further weight of tokens that differ from the last seen frame
    beta: float = 1e-3  # of the divergence; 1 / (n 64) would be the exact bound, as tokens are averaged
    warm_up: tuple[int, int] = (600, 1200)  # steps between which beta rises from 0
    balance: float = 0.8  # share of the divergence that moves the prior

    def __post_init__(self) -> None:
        """Accept JSON's lists and refuse what is out of range."""
        object.__setattr__(self, "warm_up", tuple(self.warm_up))
        first, last = self.warm_up
        if self.changed_weight < 0.0 or self.beta < 0.0 or not 0.0 <= self.balance <= 1.0:
            raise ValueError("changed_weight and beta start at 0, balance lies in [0, 1].")
        if not 0 <= first <= last:
            raise ValueError(f"warm_up must be two steps in order; got {self.warm_up}.")

    def beta_at(self, step: int) -> float:
        """Beta after so many steps."""
        first, last = self.warm_up
        if step >= last:
            return self.beta
        return self.beta * max(0.0, (step - first) / max(last - first, 1))


def evidence_loss(
    model: DynamicsModel, window: Tensor, noise: Tensor, beta: float, config: EvidenceConfig
) -> tuple[Tensor, dict[str, float]]:
    """Minus the evidence bound of windows, and numbers to log.

        E_q[-log D(future | context, z)] + beta KL(q(z | context, future) || p(z | context))

    Args:
        model: the autoencoder.
        window: tokens int64 (b, m + n, 64).
        noise: standard normal (b, z).
        beta: weight of the divergence.
        config: the other weights.
    """
    context, future = split(window, model.config)
    divergence = window.new_zeros((), dtype=torch.float32)
    balanced = divergence
    latent = noise
    if model.posterior is not None and model.prior is not None:
        posterior, prior = model.posterior(window), model.prior(context)
        latent = posterior.sample(noise)
        divergence = kl_divergence(posterior, prior).sum(-1).mean().detach()
        balanced = config.balance * kl_divergence(posterior.detach(), prior).sum(-1).mean()
        balanced = balanced + (1.0 - config.balance) * kl_divergence(posterior, prior.detach()).sum(-1).mean()
    logits = model.decoder(context, latent)
    changed = future != context[:, -1:]
    weight = 1.0 + config.changed_weight * changed
    each = F.cross_entropy(logits.flatten(0, 2).float(), future.flatten(), reduction="none")
    cross_entropy = (weight.flatten() * each).mean()
    with torch.no_grad():
        right = logits.argmax(-1) == future
        accuracy = (right & changed).sum() / changed.sum().clamp_min(1)
    return cross_entropy + beta * balanced, {
        "cross_entropy": cross_entropy.item(),
        "divergence": divergence.item(),
        "accuracy_changed": accuracy.item(),
    }
