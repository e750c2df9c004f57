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
    retell: float = 0.1  # weight of the seen frames, told from the context's features; 0 for the bound alone

    def __post_init__(self) -> None:
        """Accept JSON's lists and refuse what is out of range."""
        object.__setattr__(self, "warm_up", tuple(self.warm_up))
        first, last = self.warm_up
        weights = (self.changed_weight, self.beta, self.retell)
        if not all(weight >= 0.0 for weight in weights) or not 0.0 <= self.balance <= 1.0:
            raise ValueError("changed_weight, beta and retell start at 0, balance lies in [0, 1].")
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

    With `retell`, a cross entropy of the seen frames given the context's features is added: no part of the bound, and no
    gradient of it reaches posterior or decoder.

    Args:
        model: the autoencoder.
        window: tokens int64 (b, m + n, 64).
        noise: standard normal (b, z).
        beta: weight of the divergence.
        config: the other weights.
    """
    context, future = split(window, model.config)
    divergence = window.new_zeros((), dtype=torch.float32)
    beside = divergence  # what is added to the cross entropy
    latent, told = noise, {}
    if model.posterior is not None and model.prior is not None and model.retelling is not None:
        features = model.prior.features(context)
        posterior, prior = model.posterior(window), model.prior.head(features)
        latent = posterior.sample(noise)
        divergence = kl_divergence(posterior, prior).sum(-1).mean().detach()
        balanced = config.balance * kl_divergence(posterior.detach(), prior).sum(-1).mean()
        balanced = balanced + (1.0 - config.balance) * kl_divergence(posterior, prior.detach()).sum(-1).mean()
        beside = beta * balanced
        if config.retell:
            moved = (context != context[:, :1]).any(dim=1, keepdim=True)
            retold, right = token_cross_entropy(model.retelling(features), context, moved, config)
            beside = beside + config.retell * retold
            told = {"retold": retold.item(), "retold_changed": right.item()}
    cross_entropy, right = token_cross_entropy(
        model.decoder(context, latent), future, future != context[:, -1:], config
    )
    return cross_entropy + beside, {
        "cross_entropy": cross_entropy.item(),
        "divergence": divergence.item(),
        "accuracy_changed": right.item(),
        **told,
    }


def token_cross_entropy(
    logits: Tensor, tokens: Tensor, changed: Tensor, config: EvidenceConfig
) -> tuple[Tensor, Tensor]:
    """Of logits (b, t, 64, codes), changed tokens counting more; and the share of those that the largest logit names."""
    changed = changed.expand_as(tokens)
    weight = 1.0 + config.changed_weight * changed
    each = F.cross_entropy(logits.flatten(0, 2).float(), tokens.flatten(), reduction="none")
    with torch.no_grad():
        right = (logits.argmax(-1) == tokens) & changed
        share = right.sum() / changed.sum().clamp_min(1)
    return (weight.flatten() * each).mean(), share
