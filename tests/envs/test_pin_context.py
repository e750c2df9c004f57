"""PinContext: one context in every episode, whoever resets."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import DummyVecEnv

from latentctx_envs.point_mass.context import PointMassContext
from latentctx_envs.wrappers import PinContext, VectorPinContext
from latentctx_envs.wrappers.sb3 import to_sb3

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


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("context", [GOAL, [GOAL, {"goal": (0.0, 0.0)}]])
def test_a_native_vector_equals_pinned_single_environments_episode_by_episode(
    mode: AutoresetMode, context: Any
) -> None:
    each = context if isinstance(context, list) else [context] * 2
    makers = [lambda one=one: PinContext(gym.make(ID, max_episode_steps=2), one) for one in each]
    singles = gym.vector.SyncVectorEnv(makers, autoreset_mode=mode)
    native = VectorPinContext(gym.make_vec(ID, num_envs=2, max_episode_steps=2, autoreset_mode=mode), context)
    first, second = singles.reset(seed=5), native.reset(seed=5)
    for step in range(7):
        assert data_equivalence(first, second, exact=True)
        actions = np.full((2, 2), 0.1 * step, np.float32)
        first, second = singles.step(actions), native.step(actions)
        if mode is AutoresetMode.DISABLED and first[3].any():
            options = {"reset_mask": first[3]}
            first, second = singles.reset(options=options), native.reset(options=options)
    native.unwrapped.pin_context(None)
    assert native.reset()[1]["context"]["goal"][0] != each[0]["goal"]


def test_sb3_learns_one_context_in_a_native_vector() -> None:
    venv = to_sb3(
        VectorPinContext(gym.make_vec(ID, num_envs=2, max_episode_steps=2, autoreset_mode="SameStep"), GOAL)
    )
    venv.reset()
    goals = [info["context"] for _ in range(5) for info in venv.step(np.zeros((2, 2)))[3]]
    assert goals == [GOAL] * 10


def test_vectors_that_cannot_be_pinned_and_wrong_contexts_are_refused(refuses: Any) -> None:
    with refuses("VectorPinContext takes vectors"):
        PinContext(gym.make_vec(ID, num_envs=2), GOAL)  # type: ignore[arg-type]
    with refuses("needs the native vector", "pin each"):
        VectorPinContext(gym.make_vec(ID, num_envs=2, vectorization_mode="sync"), GOAL)
    native = gym.make_vec(ID, num_envs=2)
    np.testing.assert_array_equal(native.reset(seed=range(2))[0], native.reset(seed=0)[0])
    with refuses("one for each environment; got None"):
        VectorPinContext(native, [GOAL, None])  # type: ignore[list-item]
    with refuses("one or 2 of them; got 3"):
        VectorPinContext(native, [GOAL] * 3)
    with refuses("0.29"):
        VectorPinContext(native, {"goal": (0.5, 0.0)})
    with refuses("VectorPinContext pins the context"):
        VectorPinContext(native, GOAL).reset(options={"context": GOAL})


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
