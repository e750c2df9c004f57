"""AIME online: the discriminator and its reward, and whose gradients go where."""

import dataclasses
import math

import pytest
import torch
from tiny_online import NET, TINY, a_model

from latentctx_agents.aime import imitate as imitation
from latentctx_agents.aime.inference import imitation_loss, infer_actions
from latentctx_agents.aime.policy import TanhPolicy
from latentctx_agents.aime_online.agent import OnlineAime, Own
from latentctx_agents.aime_online.surrogate import Discriminator, discriminator_loss, gradient_penalty
from latentctx_agents.cli.main import main
from latentctx_agents.dreamer.imagination import imagine, lambda_returns, policy_terms
from latentctx_agents.world_models.model import Observations
from latentctx_agents.world_models.windows import Windows
from latentctx_envs.encoders.latent.rssm import State


def an_agent(config=TINY):
    agent = OnlineAime(config, a_model(), TanhPolicy(NET.features, 6, (8, 8)))
    for head in (agent.reward, agent.slow_value):  # they begin at zero, where nothing can be tested
        for parameter in head.network.rest[-1].parameters():
            torch.nn.init.normal_(parameter)
    return agent


def batches(time=5, batch=4):
    torch.manual_seed(1)
    actions = torch.rand(time, batch, 6) * 2 - 1
    own = Own(Observations(torch.randn(time, batch, 24)), actions)
    is_first = torch.zeros(time, batch, dtype=torch.bool)
    return own, Windows(Observations(torch.randn(time, batch, 24)), actions.flip(0), is_first)


def some_starts(count=6):
    return State(torch.randn(count, 8), torch.randn(count, 3))


def gradients(loss, policy):
    return torch.autograd.grad(loss, [*policy.parameters()], retain_graph=True)


# -- the discriminator


def test_the_discriminator_tells_two_distributions_apart_and_rewards_the_demonstrated_one():
    torch.manual_seed(0)
    discriminator = Discriminator(2, (16, 16))
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=3e-3)
    shown, own = torch.tensor([1.5, 0.0]), torch.tensor([-1.5, 0.0])
    for _ in range(300):
        draws = torch.randn(2, 64, 2) * 0.3
        verdict = discriminator_loss(discriminator, shown + draws[0], own + draws[1], torch.rand(64, 1), 10.0)
        optimizer.zero_grad()
        verdict.loss.backward()
        optimizer.step()
    assert verdict.metrics["judged_shown"] > 0.7 and verdict.metrics["judged_own"] < 0.3
    assert discriminator(shown) > 0.5 and discriminator(own) < -0.5
    assert verdict.metrics["discriminator_penalty"] < 0.1  # the slope between them is about 1, not infinite


def test_the_surrogate_reward_is_log_d_less_log_of_its_complement():
    discriminator, seen = Discriminator(3, (8,)), torch.randn(5, 7, 3)
    share = torch.sigmoid(discriminator(seen).double())
    torch.testing.assert_close(discriminator(seen).double(), share.log() - (1 - share).log())
    entropy = discriminator_loss(discriminator, seen, seen + 1, torch.rand(5, 7, 1), 0.0).loss
    other = torch.sigmoid(discriminator(seen + 1).double())
    expected = -share.log().mean() - (1 - other).log().mean()
    assert entropy.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_penalty_and_its_gradient_are_those_of_the_slopes():
    torch.manual_seed(0)
    discriminator = Discriminator(3, (8, 8)).double()
    discriminator.measure(torch.randn(100, 3).double() * torch.tensor([1.0, 20.0, 5.0]) + 7)
    shown, own, mix = torch.randn(6, 3).double(), torch.randn(6, 3).double(), torch.rand(6, 1).double()
    between = mix * shown + (1 - mix) * own

    def by_func():
        slopes = torch.func.vmap(torch.func.grad(lambda point: discriminator(point)))(between)
        return ((slopes * discriminator.std).norm(dim=-1) - 1).square().mean()  # per standard deviation

    found = gradient_penalty(discriminator, shown, own, mix)
    assert found.item() == pytest.approx(by_func().item(), rel=1e-9)
    weight = discriminator.network[2].weight
    (gradient,) = torch.autograd.grad(found, weight)
    for row, column in ((0, 0), (3, 5), (7, 7)):
        ends = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                weight[row, column] += step
            ends.append(by_func().item())
            with torch.no_grad():
                weight[row, column] -= step
        assert gradient[row, column].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-9)
    ends = gradient_penalty(discriminator, shown, own, torch.ones(6, 1).double())
    at_shown = torch.func.vmap(torch.func.grad(lambda point: discriminator(point)))(shown)
    at_shown = at_shown * discriminator.std
    assert ends.item() == pytest.approx((at_shown.norm(dim=-1) - 1).square().mean().item())


def test_the_discriminator_sees_standard_deviations_and_no_number_is_blown_up():
    discriminator = Discriminator(3, (8,))
    seen = torch.randn(5000, 3) * torch.tensor([2.0, 0.5, 1e-4]) + torch.tensor([3.0, -1.0, 0.0])
    discriminator.measure(seen)
    standard = discriminator.standard(seen)
    torch.testing.assert_close(standard.mean(dim=0), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(standard.std(dim=0)[:2], torch.ones(2), atol=1e-3, rtol=0)
    assert standard[:, 2].abs().max() < 1e-2  # a tenth of the liveliest is its least
    discriminator.measure(torch.ones(5, 3))
    assert torch.isfinite(discriminator(torch.ones(1, 3))).all()


# -- the policy's objective


def test_without_the_surrogate_the_policys_loss_is_aimes_on_the_same_batch_and_noise():
    agent = an_agent(dataclasses.replace(TINY, surrogate_weight=0.0, regularisation=0.0))
    _, shown = batches()
    torch.manual_seed(2)
    found = agent.policy_loss(shown, some_starts())
    torch.manual_seed(2)
    some_starts()
    noise, action_noise = agent.model.noise(5, 4), torch.randn(5, 4, 6)
    embeddings = agent.model.embed(shown.observations)
    inferred = infer_actions(agent.model, agent.policy, embeddings, noise, action_noise)
    expected, _ = imitation_loss(agent.model, inferred, shown.observations, embeddings, "full")
    torch.testing.assert_close(found.loss, expected)
    for one, other in zip(
        gradients(found.loss, agent.policy), gradients(expected, agent.policy), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_the_policy_is_moved_by_both_terms_and_the_second_is_dreamers():
    grads, states = {}, some_starts()
    for weight in (0.0, 1.0, 3.0):
        agent = an_agent(dataclasses.replace(TINY, surrogate_weight=weight, regularisation=0.0))
        _, shown = batches()
        torch.manual_seed(2)
        found = agent.policy_loss(shown, states)
        grads[weight] = gradients(found.loss, agent.policy)
    torch.manual_seed(2)
    agent.model.noise(5, 4), torch.randn(5, 4, 6)
    noise, action_noise = torch.randn(4, 6, 3), torch.randn(4, 6, 6)
    dream = imagine(agent.model.rssm, agent.policy, states, noise, action_noise)
    values = agent.slow_value(dream.states) / 0.01
    terms = policy_terms(
        dream, agent.reward(dream.states), values, gamma=0.99, lambda_=0.95, regularisation=0.0
    )
    expected = gradients(terms.loss, agent.policy)
    for none, one, three, dreamed in zip(grads[0.0], grads[1.0], grads[3.0], expected, strict=True):
        assert none.abs().sum() > 0 and dreamed.abs().sum() > 0
        torch.testing.assert_close(one - none, dreamed, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(three - none, 3 * dreamed, rtol=1e-3, atol=1e-4)


def test_the_value_expects_returns_of_the_states_imagination_starts_from_as_well():
    agent = an_agent()
    _, shown = batches()
    starts = some_starts()
    found = agent.policy_loss(shown, starts)
    assert found.states.shape == (4, 6, NET.features) and found.returns.shape == (4, 6)
    torch.testing.assert_close(found.states[0], starts.features)
    assert not found.states.requires_grad and not found.returns.requires_grad
    rest = lambda_returns(  # of the last three states, from which the first follows
        agent.reward(found.states), agent.slow_value(found.states) / 0.01, 0.99, 1.0
    )
    assert rest.shape == (3, 6)
    value = agent.slow_value(found.states[1]) / 0.01
    first = agent.reward(starts.features) + 0.99 * (0.05 * value + 0.95 * found.returns[1])
    torch.testing.assert_close(found.returns[0], first, rtol=1e-4, atol=1e-3)


def test_no_gradient_of_the_policys_objective_reaches_anything_else():
    agent = an_agent()
    _, shown = batches()
    agent.policy_loss(shown, some_starts()).loss.backward()
    others = (agent.model, agent.reward, agent.value, agent.slow_value, agent.discriminator)
    assert all(p.grad is None for part in others for p in part.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in agent.policy.parameters())
    assert all(p.requires_grad for part in others if part is not agent.slow_value for p in part.parameters())
    assert not any(p.requires_grad for p in agent.slow_value.parameters())


def test_a_narrow_policy_pays_in_either_term():
    costs = {}
    for regularisation in (0.0, 1.0):
        agent = an_agent(dataclasses.replace(TINY, regularisation=regularisation, surrogate_weight=2.0))
        _, shown = batches()
        torch.manual_seed(2)
        found = agent.policy_loss(shown, some_starts())
        costs[regularisation] = found.loss.item()
    torch.manual_seed(2)
    some_starts()
    inferred = imitation.terms_of(TINY.imitation, agent.model, agent.policy, shown).inferred
    mean, std = inferred.policies
    ratio = (std / 0.8742).square()
    near = 0.5 * (ratio + (mean / 0.8742).square() - 1 - ratio.log()).sum(dim=-1).mean().item()
    both = near + 2.0 * found.metrics["policy_drift"]
    assert costs[1.0] - costs[0.0] == pytest.approx(both, rel=1e-3)


# -- updates


def test_an_update_moves_every_part_and_the_slow_value_by_its_share():
    agent = an_agent()
    own, shown = batches()
    parts = ("model", "reward", "discriminator", "policy", "value", "slow_value")
    before = {k: [p.detach().clone() for p in getattr(agent, k).parameters()] for k in parts}
    metrics = agent.update(own, shown)
    assert all(math.isfinite(value) for value in metrics.values())
    for name in parts:
        moved = zip(before[name], getattr(agent, name).parameters(), strict=True)
        assert any(not torch.equal(a, b) for a, b in moved), name
    for old, slow, fresh in zip(
        before["slow_value"], agent.slow_value.parameters(), agent.value.parameters(), strict=True
    ):
        torch.testing.assert_close(slow, 0.95 * old + 0.05 * fresh)


def test_rewards_are_labelled_anew_by_the_discriminator_after_its_step(monkeypatch):
    agent = an_agent()
    own, shown = batches()
    seen = []
    learn = agent.reward.loss
    monkeypatch.setattr(
        agent.reward, "loss", lambda states, targets: seen.append(targets) or learn(states, targets)
    )
    agent.update(own, shown)
    torch.testing.assert_close(seen[0], agent.discriminator(own.observations.states[..., :15]).detach())
    assert not seen[0].requires_grad
    agent.update(own, shown)
    assert not torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("command", ["imitate", "aime-online"])
def test_a_missing_world_model_is_refused_before_a_dataset_is_built(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "data"))
    with pytest.raises(SystemExit):
        main([command, "quick", "--world-model", str(tmp_path / "nowhere"), "--out", str(tmp_path / "run")])
    assert "is no world model" in capsys.readouterr().err
    assert not (tmp_path / "data").exists() and not (tmp_path / "run").exists()
