"""The experts: their formula, their noise, their success."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.seeding import np_random

import latentctx_envs  # noqa: F401  # registers the ids
from latentctx_datasets.demonstrators import Draws, is_ready, make_demonstrator, snapshot_count
from latentctx_datasets.demonstrators.point_mass import PointMassExpert
from latentctx_envs.point_mass.context import split_goals
from latentctx_envs.rollout import rollout

STATE = np.array([0.1, -0.05, 0.02, 0.3], np.float32)
INFO = {"context": {"goal": (0.13, -0.2)}}


def test_point_mass_expert_is_the_published_controller() -> None:
    expected = np.clip(10.0 * (np.array([0.13, -0.2]) - STATE[:2]) - STATE[2:], -1.0, 1.0)
    action = PointMassExpert()(STATE, INFO)
    np.testing.assert_allclose(action, expected, rtol=1e-6)
    assert action.dtype == np.float32 and expected[1] == -1.0  # one force is clipped, one is not


def test_noisy_expert_is_seeded_and_stays_within_the_action_space() -> None:
    first, again, other = (
        np.stack([expert(STATE, INFO) for _ in range(50)])
        for expert in (
            PointMassExpert(2.0, seed=1),
            PointMassExpert(2.0, seed=1),
            PointMassExpert(2.0, seed=2),
        )
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and first.std() > 0.5
    assert np.abs(first).max() <= 1.0


def test_expert_of_a_vector_environment_acts_as_the_single_one() -> None:
    goals = split_goals("test")[:3]
    contexts = [{"goal": goal} for goal in goals]
    expert = PointMassExpert()
    batched = rollout(
        gym.make_vec("LatentCtx-PointMass-v0", num_envs=3),
        expert,
        [{"seed": 7, "options": {"context": contexts}}],
    )
    actions = np.stack([step.action for step in batched], axis=1)
    for index, context in enumerate(contexts):
        reset = {"seed": 7 + index, "options": {"context": context}}
        single = [step.action for step in rollout(gym.make("LatentCtx-PointMass-v0"), expert, [reset])]
        np.testing.assert_array_equal(actions[index], np.stack(single))


def test_expert_succeeds_in_86_percent_of_the_pretraining_goals() -> None:
    goals = split_goals("train")[:300]
    env = gym.make_vec("LatentCtx-PointMass-v0", num_envs=len(goals))
    reset = {"seed": 0, "options": {"context": [{"goal": goal} for goal in goals]}}
    succeeded = np.zeros(len(goals), bool)
    for step in rollout(env, PointMassExpert(), [reset]):
        succeeded |= step.next_info["success"]
    assert succeeded.mean() == pytest.approx(0.86, abs=0.04)  # two standard errors of 300 episodes


def test_an_unknown_demonstrator_is_refused_with_the_known_ones(refuses: Callable[..., Any]) -> None:
    with refuses("point-mass-expert", "'nobody'"):
        make_demonstrator("nobody")


@pytest.fixture
def random_player() -> Callable[..., np.ndarray]:
    """`random_player(seeds, steps)`: actions, float32 (steps, N, 2), between -1 and 3."""

    def play(seeds: list[int], steps: int) -> np.ndarray:
        player = make_demonstrator("random")
        assert isinstance(player, Draws)
        player.begin(spaces.Box(-1.0, 3.0, (2,)), seeds)
        return np.stack([player(None, {}) for _ in range(steps)])

    return play


def test_random_actions_fill_the_action_space_evenly(random_player: Callable[..., np.ndarray]) -> None:
    actions = random_player([0, 1], 5000)
    assert actions.shape == (5000, 2, 2) and actions.dtype == np.float32
    assert actions.min() >= -1.0 and actions.max() <= 3.0
    counts, _ = np.histogram(actions, bins=10, range=(-1.0, 3.0))
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000)


def test_random_actions_of_an_episode_depend_on_its_seed_alone(
    random_player: Callable[..., np.ndarray],
) -> None:
    together, alone = random_player([3, 4, 5], 6), random_player([4], 6)
    np.testing.assert_array_equal(together[:, 1], alone[:, 0])
    assert (together[:, 0] != together[:, 1]).all()


def test_random_actions_are_not_the_draws_of_an_environment_of_the_same_seed(
    random_player: Callable[..., np.ndarray],
) -> None:
    rng, _ = np_random(3)
    assert (random_player([3], 1)[0, 0] != (4.0 * rng.random(2) - 1.0).astype(np.float32)).all()


@pytest.mark.parametrize("name", ["random", "walker-walk-ppo-noisy"])
def test_a_player_that_draws_is_refused_without_seeds(name: str) -> None:
    with pytest.raises(RuntimeError, match="call begin"):
        make_demonstrator(name)(None, {})


@pytest.mark.parametrize(("name", "scale"), [("noisy", 0.1), ("exploring", 0.3)])
def test_noise_of_a_trained_player_has_the_documented_scale(name: str, scale: float) -> None:
    player = make_demonstrator(f"walker-stand-ppo-{name}")
    assert isinstance(player, Draws)
    player.begin(spaces.Box(-9.0, 9.0, (6,)), range(2000))  # wide: nothing is cut
    states = np.zeros((2000, 24), np.float32)
    noise = player(states, {}) - make_demonstrator("walker-stand-ppo")(states, {})
    assert noise.std() == pytest.approx(9.0 * scale, rel=0.05) and abs(noise.mean()) < scale


def test_snapshots_of_a_demonstrator_that_was_not_trained_are_refused(refuses: Callable[..., Any]) -> None:
    with refuses("'random' was not trained"):
        snapshot_count("random")


def test_players_without_weights_are_always_ready() -> None:
    assert is_ready("random") and is_ready("point-mass-expert")
