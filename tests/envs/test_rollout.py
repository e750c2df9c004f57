"""rollout: each step is observation, action -> next observation, for one environment and for many."""

import itertools
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from latentctx_datasets.demonstrators import PointMassExpert
from latentctx_envs.rollout import Step, rollout

ID = "LatentCtx-PointMass-v0"
CENTRE = {"goal": (0.0, 0.0)}


class Pushes:
    """Seeded random pushes that remember what they were shown; one generator an episode."""

    def __init__(self, shape: tuple[int, ...] = (2,)) -> None:
        self.shape, self.episodes = shape, 0
        self.observations: list[Any] = []
        self.goals: list[Any] = []

    def reset(self) -> None:
        self.rng = np.random.default_rng(0)
        self.episodes += 1

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        self.observations.append(observation)
        self.goals.append(info["context"]["goal"])
        return self.rng.uniform(-1, 1, self.shape)


def at(x: float) -> np.ndarray:
    return np.array([0.0, x, 0.0, 0.0, 0.0])


@pytest.fixture
def single() -> list[Step]:
    with gym.make(ID) as env:
        return list(rollout(env, Pushes(), [{"seed": 0}], watch=env.unwrapped.physics_state))


@pytest.fixture
def vector() -> list[Step]:
    """Four environments; the first starts at its goal and ends at once."""
    with gym.make(ID) as env:
        x, y = (float(value) for value in env.reset(seed=8)[0][:2])
    goals = [{"goal": (x, y)}, *[{"goal": (-x, -y)}] * 3]
    env = gym.make_vec(ID, num_envs=4, terminate_on_success=True, max_episode_steps=9)
    return list(rollout(env, Pushes((4, 2)), [{"seed": 8, "options": {"context": goals}}]))


def test_action_leads_from_observation_to_next_observation(single: list[Step]) -> None:
    with gym.make(ID) as env:
        observation, _ = env.reset(seed=0)
        for step in single:
            assert np.array_equal(step.observation, observation)
            observation, reward, terminated, truncated, _ = env.step(step.action)
            assert np.array_equal(step.next_observation, observation)
            assert (step.reward, step.terminated, step.truncated) == (reward, terminated, truncated)


def test_steps_are_chained_and_counted(single: list[Step]) -> None:
    assert [step.time for step in single] == list(range(100))
    for before, after in itertools.pairwise(single):
        assert after.observation is before.next_observation
        assert after.info is before.next_info
        assert after.seen is before.next_seen


def test_only_the_final_step_is_last(single: list[Step]) -> None:
    assert [step.last for step in single] == [False] * 99 + [True]


def test_watched_values_belong_to_their_observations(single: list[Step]) -> None:
    for step in single:
        np.testing.assert_allclose(step.seen[1:], step.observation, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(step.next_seen[1:], step.next_observation, rtol=1e-6, atol=1e-7)


def test_policy_sees_the_observation_that_the_step_records() -> None:
    policy = Pushes()
    with gym.make(ID) as env:
        steps = list(rollout(env, policy, [{"seed": 0}]))
    assert all(seen is step.observation for seen, step in zip(policy.observations, steps, strict=True))
    assert policy.goals == [step.info["context"]["goal"] for step in steps]


def test_every_reset_starts_one_episode_and_the_policy_anew() -> None:
    policy = Pushes()
    with gym.make(ID, max_episode_steps=5) as env:
        resets = [{"seed": 0}, {"seed": 0}, {"seed": 1}]
        steps = list(rollout(env, policy, resets))
    assert policy.episodes == 3
    assert [step.time for step in steps] == [0, 1, 2, 3, 4] * 3
    assert np.array_equal(steps[0].action, steps[5].action)
    assert np.array_equal(steps[4].next_observation, steps[9].next_observation)
    assert not np.array_equal(steps[4].next_observation, steps[14].next_observation)


def test_episode_ends_at_a_termination() -> None:
    reset = {"options": {"context": CENTRE, "physics_state": at(0.0)}}
    with gym.make(ID, terminate_on_success=True) as env:
        steps = list(rollout(env, Pushes(), [reset]))
    assert [(step.terminated, step.last) for step in steps] == [(True, True)]


def test_first_step_of_a_vector_is_active_everywhere(vector: list[Step]) -> None:
    assert vector[0].active.tolist() == [True] * 4
    assert vector[0].terminated.tolist() == [True, False, False, False]


def test_early_finishers_of_a_vector_are_inactive_until_all_are_done(vector: list[Step]) -> None:
    assert [step.active.tolist() for step in vector[1:]] == [[False, True, True, True]] * 8
    assert [step.last for step in vector] == [False] * 8 + [True]


def test_active_steps_of_a_vector_equal_single_episodes(vector: list[Step]) -> None:
    with gym.make(ID, max_episode_steps=9) as env:
        for index in range(1, 4):
            env.reset(seed=8 + index, options={"context": CENTRE})
            for step in vector:
                assert np.array_equal(env.step(step.action[index])[0], step.next_observation[index])


class Expert(PointMassExpert):
    """The demonstrator, who looks at the states in a dict."""

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        return super().__call__(observation["state"] if isinstance(observation, dict) else observation, info)


@pytest.mark.parametrize("kinds", ["state", ("state", "position")])
def test_environments_that_begin_anew_within_a_step_give_the_same_episodes(kinds: Any) -> None:
    def played(mode: str) -> list[Step]:
        env = gym.make_vec(
            ID,
            num_envs=4,
            terminate_on_success=True,
            max_episode_steps=60,
            autoreset_mode=mode,
            observation=kinds,
        )
        steps = list(rollout(env, Expert(), [{"seed": 3}]))
        env.close()
        return steps

    one, other = played("NextStep"), played("SameStep")
    assert len(one) == len(other) and np.any([step.next_info["success"] & step.active for step in one])
    for step, same in zip(one, other, strict=True):
        np.testing.assert_array_equal(step.active, same.active)
        for index in np.flatnonzero(step.active):
            for key in ("success", "is_success"):
                assert step.next_info[key][index] == same.next_info[key][index]
            np.testing.assert_array_equal(
                step.next_info["context"]["goal"][index], same.next_info["context"]["goal"][index]
            )
            for name in kinds if isinstance(kinds, tuple) else (None,):
                shown = [
                    s.next_observation if name is None else s.next_observation[name] for s in (step, same)
                ]
                np.testing.assert_array_equal(shown[0][index], shown[1][index])


def test_environments_that_do_not_begin_anew_are_refused(refuses: Any) -> None:
    env = gym.make_vec(ID, num_envs=2, autoreset_mode="Disabled")
    with refuses("autoreset_mode='NextStep'"):
        next(iter(rollout(env, Pushes((2, 2)))))
