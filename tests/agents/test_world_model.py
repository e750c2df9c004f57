"""World models: the bound, its gradients, and that computing ahead and together changes nothing."""

import dataclasses
import math

import naive_world_model
import pytest
import torch
from torch.distributions import Independent, kl
from torch.distributions import Normal as TorchNormal

from latentctx_agents.world_models.evidence import (
    divergence,
    evidence_of,
    inverse_dynamics_loss,
    model_loss,
    probe_loss,
)
from latentctx_agents.world_models.model import Observations, WorldModel
from latentctx_envs.encoders.latent.config import QUICK, RSSM, RSSMO, WorldModelConfig
from latentctx_envs.encoders.latent.gaussian import Normal, kl_divergence
from latentctx_envs.encoders.latent.rssm import filter_states
from latentctx_envs.encoders.latent.sensors import Sensors

SMALL = {"deter": 24, "stoch": 6}
CONFIGS = {
    "rssm": dataclasses.replace(RSSM, **SMALL, hidden=(16, 16)),
    "rssmo": dataclasses.replace(RSSMO, **SMALL, hidden=(20, 20), embed_hidden=(12, 12)),
    "plain": dataclasses.replace(QUICK, **SMALL, hidden=(16, 16), reweight="none"),
}
TIME, BATCH = 7, 5


def model_of(name: str, observed: str = "state") -> WorldModel:
    torch.manual_seed(0)
    return WorldModel(CONFIGS[name], Sensors.of("walker", observed), 6)


def batch_of(pixels: bool = False) -> tuple[Observations, torch.Tensor]:
    torch.manual_seed(1)
    frames = torch.randint(0, 256, (TIME, BATCH, 64, 64, 3), dtype=torch.uint8) if pixels else None
    return Observations(torch.randn(TIME, BATCH, 24), frames), torch.rand(TIME, BATCH, 6) * 2 - 1


@pytest.mark.parametrize("observed", ["state", "position", "pixels"])
@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_computed_ahead_and_together_equals_the_loop(name, observed):
    model = model_of(name, observed)
    observations, actions = batch_of(observed == "pixels")
    noise = model.noise(TIME, BATCH)
    loss, _ = model_loss(model, observations, actions, noise)
    loss.backward()
    grads = {key: value.grad for key, value in model.named_parameters()}
    model.zero_grad()
    expected = naive_world_model.model_loss(model, observations, actions, noise)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for key, value in model.named_parameters():
        assert grads[key] is not None, key
        torch.testing.assert_close(grads[key], value.grad, rtol=1e-3, atol=1e-4, msg=key)


def test_log_density_and_divergence_are_those_of_torchs_distributions():
    mean, std, other, spread, value = (torch.rand(4, 3) + 0.1 for _ in range(5))
    mine, theirs = Normal(mean, std), Normal(other, spread)
    torch.testing.assert_close(mine.log_prob(value), TorchNormal(mean, std).log_prob(value))
    expected = kl.kl_divergence(TorchNormal(mean, std), TorchNormal(other, spread))
    torch.testing.assert_close(kl_divergence(mine, theirs), expected)


def test_the_bound_without_weights_is_log_likelihood_minus_divergence():
    model = model_of("plain")
    observations, actions = batch_of()
    filtered = filter_states(model.rssm, model.embed(observations), actions, model.noise(TIME, BATCH))
    found = evidence_of(model, filtered, observations)
    bound = torch.zeros(TIME, BATCH)
    for name, distribution in model.decode(filtered.states.features).items():
        target = model.targets(observations)[name]
        bound += Independent(TorchNormal(*distribution), 1).log_prob(target)
    prior = TorchNormal(*model.rssm.prior(filtered.states.deter))
    bound -= kl.kl_divergence(TorchNormal(*filtered.posterior), prior).sum(dim=-1)
    torch.testing.assert_close(found.loss(), -bound.sum(dim=0).mean())


def test_balance_divides_the_gradient_and_leaves_the_value():
    posterior = Normal(torch.randn(3, 2, 4, requires_grad=True), torch.rand(3, 2, 4) + 0.5)
    prior = Normal(torch.randn(3, 2, 4, requires_grad=True), torch.rand(3, 2, 4) + 0.5)
    plain = divergence(posterior, prior)
    whole = torch.autograd.grad(plain.sum(), [posterior.mean, prior.mean])
    balanced = divergence(posterior, prior, balance=0.8)
    parts = torch.autograd.grad(balanced.sum(), [posterior.mean, prior.mean])
    torch.testing.assert_close(balanced, plain)
    torch.testing.assert_close(parts[0], 0.2 * whole[0])
    torch.testing.assert_close(parts[1], 0.8 * whole[1])


def test_free_nats_silence_the_gradient_of_small_divergences_and_leave_the_value():
    prior = Normal(torch.zeros(1, 2, 1), torch.ones(1, 2, 1))
    mean = torch.tensor([[[0.1], [3.0]]], requires_grad=True)
    found = divergence(Normal(mean, torch.ones(1, 2, 1)), prior, free_nats=1.0)
    torch.testing.assert_close(found, torch.tensor([[0.005, 4.5]]))
    (grad,) = torch.autograd.grad(found.sum(), mean)
    torch.testing.assert_close(grad, torch.tensor([[[0.0], [3.0]]]))


def test_weights_scale_each_dimensions_likelihood_and_the_steps_divergence_alike():
    model, plain = model_of("rssm"), model_of("plain")
    plain.load_state_dict(model.state_dict())
    observations, actions = batch_of()
    filtered = filter_states(model.rssm, model.embed(observations), actions, model.noise(TIME, BATCH))
    weighted, bare = evidence_of(model, filtered, observations), evidence_of(plain, filtered, observations)
    distributions = model.decode(filtered.states.features)
    stds = torch.cat([one.std for one in distributions.values()], dim=-1)
    torch.testing.assert_close(weighted.divergence, bare.divergence * stds.mean(dim=-1))
    each = torch.cat(
        [one.log_prob(model.targets(observations)[name]) for name, one in distributions.items()], dim=-1
    )
    torch.testing.assert_close(weighted.reconstruction, (each * stds).sum(dim=-1))
    torch.testing.assert_close(weighted.nats, bare.reconstruction - bare.divergence)
    torch.testing.assert_close(bare.nats, weighted.nats)
    assert not weighted.nats.requires_grad


def test_probes_and_inverse_dynamics_do_not_touch_the_model():
    model = model_of("rssm", "position")
    observations, actions = batch_of()
    embeddings = model.embed(observations)
    filtered = filter_states(model.rssm, embeddings, actions, model.noise(TIME, BATCH))
    probed = probe_loss(model, filtered, observations)
    assert probed is not None
    (probed + inverse_dynamics_loss(model, filtered, embeddings, actions)).backward()
    assert all(p.grad is None for p in model.model_parameters())
    assert all(p.grad is not None for p in model.reading_parameters())


def test_the_paper_configurations_have_the_papers_parts():
    walker = WorldModel(RSSM, Sensors.of("walker", "position"), 6)
    assert sum(p.numel() for p in walker.rssm.gru.parameters()) == 3 * 512 * (134 + 512 + 2)
    assert {*walker.decoders} == {"orientations", "height"} and {*walker.probes} == {"velocity"}
    cheetah = WorldModel(RSSMO, Sensors.of("cheetah", "pixels"), 6)
    assert cheetah.config.features == 542 and {*cheetah.probes} == {"position", "velocity"}
    blank = torch.zeros(1, 2, 64, 64, 3, dtype=torch.uint8)
    assert cheetah.embed(Observations(torch.zeros(1, 2, 17), blank)).shape == (1, 2, 1024)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"deter": 0}, "start at 1"),
        ({"norm": True}, "without norm"),
        ({"kl_balance": 1.5}, r"\[0, 1\]"),
        ({"image_size": 84}, "64 pixels"),
    ],
)
def test_what_cannot_be_built_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        WorldModelConfig(**wrong)


def test_an_unknown_body_or_setting_is_refused():
    with pytest.raises(ValueError, match="know the sensors of walker"):
        Sensors.of("hopper", "state")
    with pytest.raises(ValueError, match="which numbers of hopper's states are velocities is not known"):
        Sensors.of("hopper", "position", 11)
    with pytest.raises(ValueError, match="observed must be one of state, position, pixels"):
        Sensors.of("walker", "mdp")  # type: ignore[arg-type]


def test_an_untrained_models_bound_is_finite_at_the_papers_size():
    model = WorldModel(RSSM, Sensors.of("walker", "state"), 6)
    observations, actions = batch_of()
    loss, metrics = model_loss(model, observations, actions, model.noise(TIME, BATCH))
    assert math.isfinite(loss.item()) and metrics["divergence"] > 0
