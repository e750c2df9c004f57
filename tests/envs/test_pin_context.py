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


@pytest.mark.parametrize(
    ("env_id", "arguments", "other"),
    [
        ("LatentCtx-WalkerRun-v0", {}, {"task": "stand"}),
        ("LatentCtx-PickPlace-v0", {}, {"task": "door-open-v3", "vector": (0.1, 0.8, 0.15)}),
        (
            "LatentCtx-Kitchen-v0",
            {"subtasks": ("microwave", "kettle", "light switch", "slide cabinet")},
            {"subtasks": ("kettle", "microwave", "light switch", "slide cabinet")},
        ),
    ],
)
def test_contexts_that_no_episode_of_the_world_has_are_refused(
    refuses: Any, env_id: str, arguments: dict[str, Any], other: dict[str, Any]
) -> None:
    with gym.make(env_id, **arguments) as env:
        with refuses("got"):
            PinContext(env, other)
        with refuses("got"):
            env.reset(options={"context": other})


def test_a_vector_refuses_them_as_well(refuses: Any) -> None:
    vector = gym.make_vec("LatentCtx-WalkerRun-v0", num_envs=2)
    with refuses("the only context of this world is"):
        vector.reset(options={"context": {"task": "stand"}})
    vector.close()
