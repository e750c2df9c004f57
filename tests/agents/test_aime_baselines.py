"""AIME's baselines: splits without leaks, the best step is kept, stacks as they are acted on, actions are found."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from latentctx_agents.aime import baselines
from latentctx_agents.aime.baselines import BaselineConfig
from latentctx_agents.aime.regression import RegressionConfig, fit, held_out_error, split
from latentctx_agents.aime.stacked import Seen, Stacked, StackPolicy, stack_of, transitions_of
from latentctx_datasets import open_states
from latentctx_envs.encoders.latent.sensors import Sensors

SMALL = "latentctx/point-mass/expert-small-v0"
FAST = RegressionConfig(batch_size=64, least_epochs=0, least_steps=0, most_steps=600, check_every=100)
CONFIG = BaselineConfig(body=FAST, demonstrations=FAST)


@pytest.fixture(scope="module")
def store():
    return open_states(SMALL)


def test_no_episode_is_both_trained_on_and_held_out():
    episodes = np.repeat(np.arange(10), 7)
    inside, outside = split(episodes, RegressionConfig(), np.random.default_rng(0))
    assert len(inside) + len(outside) == 70 and len({*episodes[outside]}) == 3
    assert not {*episodes[inside]} & {*episodes[outside]}


def test_by_window_neighbours_leak_as_in_the_papers_code():
    episodes = np.repeat(np.arange(10), 7)
    config = dataclasses.replace(FAST, by_window=True)
    inside, outside = split(episodes, config, np.random.default_rng(0))
    assert len(outside) == 21 and {*episodes[inside]} & {*episodes[outside]}


def test_one_episode_is_trained_on_and_looked_at():
    inside, outside = split(np.zeros(7, int), RegressionConfig(), np.random.default_rng(0))
    np.testing.assert_array_equal(inside, outside)


def test_the_weights_that_were_best_on_what_was_held_out_are_kept():
    network = nn.Linear(1, 1)
    looks = []

    def loss(rows):
        if not network.training:  # looks at what was held out: the second is the best
            looks.append(network.weight.detach().clone())
            return torch.tensor([3.0, 1.0, 2.0, 2.0, 2.0][len(looks) - 1])
        return network(torch.ones(1, 1)).square().sum()

    config = dataclasses.replace(FAST, most_steps=None, check_every=5)
    found = fit(network, loss, np.repeat(np.arange(10), 7), config, np.random.default_rng(0))
    assert (found.steps, found.error) == (25, 1.0)
    assert torch.equal(network.weight, looks[1]) and not torch.equal(looks[1], looks[-1])


def test_a_training_has_its_least_length_and_its_most():
    network = nn.Linear(1, 1)

    def loss(rows):
        return network(torch.zeros(1, 1)).square().sum() * 0 + 1

    episodes, rng = np.repeat(np.arange(10), 10), np.random.default_rng(0)
    config = RegressionConfig(batch_size=7, least_epochs=4, least_steps=20)  # 70 inside: 10 steps an epoch
    assert fit(network, loss, episodes, config, rng).steps == 40
    assert fit(network, loss, episodes, dataclasses.replace(config, most_steps=15), rng).steps == 15


def test_transitions_stack_within_an_episode_and_repeat_its_first_observation(store):
    found = transitions_of(store, 3, 2)
    first = int(store.lengths[0])
    np.testing.assert_array_equal(found.before[:3], [[0, 0, 0], [0, 0, 1], [0, 1, 2]])
    np.testing.assert_array_equal(found.before[first], [first + 1] * 3)
    np.testing.assert_array_equal(found.after, found.before[:, -1] + 1)
    assert len(found.after) == store.lengths[:2].sum() and set(found.episodes) == {0, 1}


@pytest.mark.parametrize("observed", ["state", "position"])
def test_a_policy_acts_on_the_stacks_that_it_was_trained_on(store, observed):
    sensors = Sensors.of("point-mass", observed)
    stack = stack_of(observed)
    network = Stacked(sensors, stack, 2)
    found, seen = transitions_of(store, stack, 1), Seen(store, sensors)
    with torch.no_grad():
        expected = network(seen.observations(found.before))
    policy = StackPolicy(network, stack, sensors)
    rows = seen.observations(found.before[:, -1]).numpy()
    acted = [policy(row, {}) for row in rows]
    np.testing.assert_allclose(acted, expected, atol=1e-6)
    policy.reset()
    batch = [policy(np.stack([row, row]), {}) for row in rows[:7]]
    np.testing.assert_allclose([one[1] for one in batch], acted[:7], atol=1e-6)


@pytest.mark.slow
def test_inverse_dynamics_finds_the_actions_and_cloning_them_is_cloning_the_true_ones(store):
    sensors = Sensors.of("point-mass", "state")
    inverse = baselines.learn_inverse_dynamics(store, sensors, CONFIG)
    spread = float(np.square(store.actions).mean())
    assert inverse.fit.error < 0.1 * spread
    inferred = baselines.clone_inferred(inverse.network, store, 20, sensors, CONFIG)
    true = baselines.clone_true(store, 20, sensors, CONFIG)
    assert inferred.fit.error < 1.5 * true.fit.error + 0.05 * spread
    acts = baselines.as_policy(inferred, sensors)(np.zeros((3, 4), np.float32), {})
    assert acts.shape == (3, 2) and np.abs(acts).max() <= 1.0


@pytest.mark.slow
def test_a_forward_model_stands_in_for_actions_and_is_not_trained_by_the_policy(store):
    sensors = Sensors.of("point-mass", "state")
    forward = baselines.learn_forward_dynamics(store, sensors, CONFIG)
    assert forward.fit.error < 0.01 * np.var(store.observations, axis=0).mean()
    kept = {name: tensor.clone() for name, tensor in forward.network.state_dict().items()}
    learned = baselines.imitate_forward(forward.network, store, 20, sensors, CONFIG)
    assert all(torch.equal(kept[name], t) for name, t in forward.network.state_dict().items())
    assert np.isfinite(learned.fit.error)


def test_pixels_are_stacked_after_their_encoder():
    network = Stacked(Sensors.of("walker", "pixels"), 5, 6)
    frames = torch.zeros(2, 5, 64, 64, 3, dtype=torch.uint8)
    assert network(frames).shape == (2, 6)


def test_a_mean_over_chunks_weighs_them_by_their_size():
    network = nn.Identity()
    values = torch.arange(10.0)
    error = held_out_error(network, lambda rows: values[rows].mean(), np.arange(10), chunk=4)
    assert error == pytest.approx(4.5)


@pytest.mark.parametrize(
    "wrong", [{"held_out": 1.0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"check_every": 0}]
)
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match=r"held_out lies|start at 1"):
        RegressionConfig(**wrong)
