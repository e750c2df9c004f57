"""A straightforward world model on the same weights: one step after the other, torch's own cells and distributions.

The oracle of the tests, and the peer of `benchmarks/world_model.py`. Every line is the formula as one would write it
down first (AIME, section 3.1): nothing is computed ahead of the loop or batched after it.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.distributions import Independent, Normal, TransformedDistribution, kl_divergence
from torch.distributions.transforms import TanhTransform

from latentctx_agents.world_models.model import Observations, WorldModel
from latentctx_envs.encoders.latent.gaussian import GaussianMLP, TwinLinear


def gaussian(head: GaussianMLP, inputs: Tensor) -> Normal:
    """The distribution of a head, its two networks one after the other."""
    if head._twin:
        weights, biases = head.first.weight.chunk(2), head.first.bias.chunk(2)
        outputs = []
        for index in range(2):
            values = F.linear(inputs, weights[index], biases[index])
            for layer in head.rest:
                if isinstance(layer, TwinLinear):
                    values = values @ layer.weight[index] + layer.bias[index]
                else:
                    values = layer(values)
            outputs.append(values)
        mean, raw = outputs
    else:
        values = head.rest(head.first(inputs))
        if head._std == "one":
            return Normal(values, torch.ones_like(values))
        mean, raw = values.chunk(2, dim=-1)
    std = 2 * torch.sigmoid(raw / 2) + 0.1 if head._std == "sigmoid" else F.softplus(raw) + 1e-6
    return Normal(mean, std)


def cell(model: WorldModel) -> nn.GRUCell:
    """torch's cell on the model's weights."""
    return model.rssm.gru


def step(
    model: WorldModel, deter: Tensor, stoch: Tensor, action: Tensor, embedding: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor, Normal, Normal]:
    """One step of filtering: h, z, posterior and prior."""
    inputs = torch.cat([stoch, action], dim=-1)
    if model.rssm.gru_input is not None:
        inputs = model.rssm.gru_input(inputs)
    deter = cell(model)(inputs, deter)
    prior = gaussian(model.rssm.prior, deter)
    posterior = gaussian(model.rssm.posterior, torch.cat([deter, embedding], dim=-1))
    return deter, posterior.mean + posterior.stddev * noise, posterior, prior


def model_loss(model: WorldModel, observations: Observations, actions: Tensor, noise: Tensor) -> Tensor:
    """What phase 1 minimises, summed step by step."""
    config, total = model.config, torch.zeros(())
    deter, stoch = torch.zeros(actions.shape[1], config.deter), torch.zeros(actions.shape[1], config.stoch)
    previous = torch.zeros(actions.shape[1], config.features)
    for t in range(len(actions)):
        seen = Observations(
            observations.states[t : t + 1],
            None if observations.pixels is None else observations.pixels[t : t + 1],
        )
        embedding = model.embed(seen)[0]
        deter, stoch, posterior, prior = step(model, deter, stoch, actions[t], embedding, noise[t])
        features = torch.cat([deter, stoch], dim=-1)
        likelihood, stds = torch.zeros(actions.shape[1]), []
        for name, target in model.targets(seen).items():
            decoder = model.decoders[name]
            if isinstance(decoder, GaussianMLP):
                found = gaussian(decoder, features)
            else:
                frames = decoder(features).mean
                found = Normal(frames, torch.ones_like(frames))
            each = found.log_prob(target[0])
            if config.reweight == "dimension":
                each = each * found.stddev.detach()
            likelihood = likelihood + each.flatten(1).sum(dim=-1)
            # of frames, whose standard deviation is one number, only that number counts
            stds.append(found.stddev.detach().flatten(1) if name != "pixels" else torch.ones(len(each), 1))
        if config.kl_balance is None:
            kl = kl_divergence(Independent(posterior, 1), Independent(prior, 1))
        else:
            fixed_q = Independent(Normal(posterior.mean.detach(), posterior.stddev.detach()), 1)
            fixed_p = Independent(Normal(prior.mean.detach(), prior.stddev.detach()), 1)
            kl = config.kl_balance * kl_divergence(fixed_q, Independent(prior, 1))
            kl = kl + (1 - config.kl_balance) * kl_divergence(Independent(posterior, 1), fixed_p)
        if config.free_nats > 0:
            kl = torch.where(kl > config.free_nats, kl, kl.detach())
        if config.reweight == "dimension":
            kl = kl * torch.cat(stds, dim=-1).mean(dim=-1)
        total = total + (config.kl_scale * kl - likelihood).mean()
        if t > 0:
            inverse = gaussian(model.idm, torch.cat([previous, embedding], dim=-1).detach())
            transforms = [TanhTransform(cache_size=1)]
            wanted = actions[t].clamp(-0.999, 0.999)
            total = total - TransformedDistribution(inverse, transforms).log_prob(wanted).sum(dim=-1).mean()
            for name, (first, last) in model.sensors.probed.items():
                found = gaussian(model.probes[name], features.detach())
                total = total - found.log_prob(observations.states[t, :, first:last]).sum(dim=-1).mean()
        previous = features
    return total
