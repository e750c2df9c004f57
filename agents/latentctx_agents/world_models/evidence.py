"""The evidence lower bound and its re-weightings: pure functions of a model and a batch (AIME, eq. 1-3)."""

from typing import NamedTuple

import torch
from torch import Tensor

from latentctx_agents.world_models.model import Observations, WorldModel, columns_of
from latentctx_envs.encoders.latent.config import Reweight, WorldModelConfig
from latentctx_envs.encoders.latent.gaussian import Normal, kl_divergence, tanh_log_prob
from latentctx_envs.encoders.latent.rssm import Filtered, filter_states


class Evidence(NamedTuple):
    """The two terms of the bound, step by step, time-major (T, b); weighted, and then no nats, if the model says so."""

    reconstruction: Tensor  # log p(o_t | s_t)
    divergence: Tensor  # KL of posterior and prior
    nats: Tensor  # the bound itself, whatever the weights; without gradient

    def loss(self, *, reconstruction: float = 1.0, divergence: float = 1.0) -> Tensor:
        """The negative bound, summed over time, averaged over the batch, its terms scaled."""
        bound = reconstruction * self.reconstruction - divergence * self.divergence
        return -bound.sum(dim=0).mean()


def reconstruct(
    model: WorldModel, filtered: Filtered, observations: Observations, reweight: Reweight
) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted log-likelihood of each step (T, b), the weight (T, b) of its divergence, and the log-likelihood itself.

    "dimension" weights the log-likelihood of each dimension by its own standard deviation, without gradient: beta-NLL
    with beta 1/2 on the variance (arXiv 2203.09168).
    """
    decoded = model.decode(filtered.states.features)
    targets = model.targets(observations)
    total = torch.zeros((), device=filtered.posterior.mean.device)
    bare = total
    weights = []
    for name, distribution in decoded.items():
        likelihood = distribution.log_prob(targets[name]).flatten(2)
        bare = bare + likelihood.detach().sum(dim=-1)
        if distribution.std.ndim == 0:  # one number for all dimensions, which is 1
            total = total + likelihood.sum(dim=-1)
            weights.append(torch.ones_like(likelihood[..., :1]))
            continue
        weight = distribution.std.detach()
        total = total + (likelihood * weight if reweight != "none" else likelihood).sum(dim=-1)
        weights.append(weight)
    return total, torch.cat(weights, dim=-1).mean(dim=-1), bare


def divergence(
    posterior: Normal, prior: Normal, *, balance: float | None = None, free_nats: float = 0.0
) -> Tensor:
    """KL of posterior and prior, summed over z, (T, b).

    Args:
        posterior: q, (T, b, z).
        prior: p, (T, b, z).
        balance: share of the gradient that moves the prior; the rest moves the posterior. None: that of the KL itself.
        free_nats: a step whose divergence is smaller has no gradient; its value is the true one all the same.
    """
    if balance is None:
        found = kl_divergence(posterior, prior).sum(dim=-1)
    else:
        to_prior = kl_divergence(posterior.detach(), prior).sum(dim=-1)
        to_posterior = kl_divergence(posterior, prior.detach()).sum(dim=-1)
        found = balance * to_prior + (1.0 - balance) * to_posterior
    if free_nats > 0.0:
        found = torch.where(found > free_nats, found, found.detach())
    return found


def evidence_of(
    model: WorldModel,
    filtered: Filtered,
    observations: Observations,
    *,
    balance: float | None = None,
    free_nats: float = 0.0,
) -> Evidence:
    """The bound's terms for filtered observations."""
    reweight = model.config.reweight
    reconstruction, weight, bare = reconstruct(model, filtered, observations, reweight)
    prior = model.rssm.prior(filtered.states.deter)
    found = divergence(filtered.posterior, prior, balance=balance, free_nats=free_nats)
    return Evidence(reconstruction, found * weight if reweight != "none" else found, bare - found.detach())


class ModelTerms(NamedTuple):
    """What phase 1 minimises, and what was computed on the way."""

    loss: Tensor
    metrics: dict[str, Tensor]
    filtered: Filtered
    embeddings: Tensor  # (T, b, e)


def model_terms(model: WorldModel, observations: Observations, actions: Tensor, noise: Tensor) -> ModelTerms:
    """The negative bound, the errors of what reads from the states, and numbers to log.

    Args:
        model: the world model.
        observations: o_1 .. o_T.
        actions: a_0 .. a_T-1 (T, b, a), each of which led to the observation in its place.
        noise: standard normal (T, b, z).
    """
    config: WorldModelConfig = model.config
    embeddings = model.embed(observations)
    filtered = filter_states(model.rssm, embeddings, actions, noise)
    found = evidence_of(model, filtered, observations, balance=config.kl_balance, free_nats=config.free_nats)
    inverse = inverse_dynamics_loss(model, filtered, embeddings, actions)
    loss = found.loss(divergence=config.kl_scale) + inverse
    metrics = {
        "reconstruction": found.reconstruction.detach().sum(dim=0).mean(),
        "divergence": found.divergence.detach().sum(dim=0).mean(),
        "idm_loss": inverse.detach(),
    }
    probed = probe_loss(model, filtered, observations)
    if probed is not None:
        metrics["probe_loss"] = probed.detach()
        loss = loss + probed
    return ModelTerms(loss, metrics, filtered, embeddings)


def model_loss(
    model: WorldModel, observations: Observations, actions: Tensor, noise: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss and the numbers to log of `model_terms`."""
    return model_terms(model, observations, actions, noise)[:2]


def inverse_dynamics_loss(
    model: WorldModel, filtered: Filtered, embeddings: Tensor, actions: Tensor
) -> Tensor:
    """Negative log-likelihood of a_t given s_t and what o_t+1 looked like, without touching the states (AIME, app. C)."""
    inputs = torch.cat([filtered.states.features[:-1], embeddings[1:]], dim=-1).detach()
    return -tanh_log_prob(model.idm(inputs), actions[1:]).sum(dim=-1).sum(dim=0).mean()


def probe_loss(model: WorldModel, filtered: Filtered, observations: Observations) -> Tensor | None:
    """Negative log-likelihood of what the model does not see, read from its states without touching them.

    The first step of a window, of which a single observation is known, is left out.
    """
    if not model.probes:
        return None
    features = filtered.states.features[1:].detach()
    targets = columns_of(observations.states[1:], model.sensors.probed)
    found = [-probe(features).log_prob(targets[name]).sum(dim=-1) for name, probe in model.probes.items()]
    return torch.stack(found).sum(dim=0).sum(dim=0).mean()
