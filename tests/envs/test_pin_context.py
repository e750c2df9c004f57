"""PinContext: one context in every episode, whoever resets."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from stable_baselines3.common.vec_env import DummyVecEnv

from latentctx_envs.point_mass.context import PointMassContext
from latentctx_envs.wrappers import PinContext

ID = "LatentCtx-PointMass-v0"
GOAL = {"goal": (0.1, -0.2)}


def test_every_episode_has_the_context_also_those_that_sb3_starts() -> None:
    venv = DummyVecEnv([lambda: PinContext(gym.make(ID, max_episode_steps=2), GOAL)] * 2)
    venv.seed(0)
    venv.reset()
    goals = [info["context"] for info in venv.reset_infos]
    for _ in range(5):
        _, _, _, infos = venv.step(np.zeros((2, 2)))
        goals += [info["context"] for info in infos]
    assert goals == [GOAL] * 12


def test_starts_are_those_of_the_seed_without_the_wrapper() -> None:
    pinned = PinContext(gym.make(ID), PointMassContext(goal=(0.1, -0.2)))
    with gym.make(ID) as plain:
        for seed in (3, None, None):
            np.testing.assert_array_equal(pinned.reset(seed=seed)[0], plain.reset(seed=seed)[0])


def test_the_spec_goes_through_json() -> None:
    env = PinContext(gym.make(ID), GOAL)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.reset(seed=0)[1]["context"] == GOAL


def test_other_options_are_passed_on() -> None:
    env = PinContext(gym.make(ID), GOAL)
    env.reset(seed=0)
    state = env.unwrapped.physics_state()
    env.step(np.ones(2))
    observation, _ = env.reset(options={"physics_state": state})
    np.testing.assert_array_equal(observation, env.reset(seed=0)[0])


@pytest.mark.parametrize(
    ("context", "words"),
    [({"goal": (0.5, 0.0)}, "0.29"), ({"place": (0, 0)}, "unknown"), ((0.1, 0.2), "a dict")],
)
def test_bad_contexts_are_refused_when_they_are_pinned(context: Any, words: str, refuses: Any) -> None:
    with refuses(words):
        PinContext(gym.make(ID), context)


def test_worlds_without_a_context_and_a_second_context_are_refused(refuses: Any) -> None:
    with refuses("needs a LatentCtx environment"):
        PinContext(gym.make("CartPole-v1"), GOAL)
    with refuses("PinContext pins the context"):
        PinContext(gym.make(ID), GOAL).reset(options={"context": GOAL})
