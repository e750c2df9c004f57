"""The native vector environment equals N single ones, in every autoreset mode, and refuses in words."""

import pickle
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode

from latentctx_envs.point_mass.vector import PointMassVectorEnv

ID = "LatentCtx-PointMass-v0"
MODES = [mode.value for mode in AutoresetMode]
N = 4
PIXELS = {"image_size": 32, "render_profile": "turbo"}
GOALS = [{"goal": (0.1, 0.1)}, {"goal": (-0.1, 0.0)}, {"goal": (0.0, 0.2)}, {"goal": (-0.2, -0.2)}]
VARIANTS: dict[str, dict[str, Any]] = {
    "state": {},
    "observed": {"context": "observed", "context_split": "train"},
    "pixels": {**PIXELS, "observation": "pixels"},
    "dict": {**PIXELS, "observation": ("pixels", "state"), "context": "observed"},
    "noisy-repeat": {"action_repeat": 2, "noise_scale": 0.5},
}


def make_pair(mode: str, **kwargs: Any) -> list[gym.vector.VectorEnv[Any, Any, Any]]:
    """The native environment and Gymnasium's vector of single ones, with short episodes."""
    settings = {"max_episode_steps": 12, "terminate_on_success": True, **kwargs}
    single = {"vector_kwargs": {"autoreset_mode": AutoresetMode(mode)}, "vectorization_mode": "sync"}
    native = gym.make_vec(ID, num_envs=N, autoreset_mode=mode, **settings)
    return [native, gym.make_vec(ID, num_envs=N, **single, **settings)]


def drive(env: Any, mode: str, *, steps: int = 40, **reset: Any) -> list[Any]:
    """Everything an environment returns under random pushes, ended episodes reset as the mode asks."""
    rng = np.random.default_rng(0)
    trace: list[Any] = [env.reset(**reset)]
    for _ in range(steps):
        trace.append(env.step(rng.uniform(-1, 1, (N, 2)).astype(np.float32)))
        ended = trace[-1][2] | trace[-1][3]
        if mode == "Disabled" and ended.any():
            trace.append(env.reset(seed=[7, 8, 9, 10], options={"reset_mask": ended}))
    return trace


def assert_same(mode: str, steps: int = 40, reset: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
    native, single = make_pair(mode, **kwargs)
    first = drive(native, mode, steps=steps, **(reset if reset is not None else {"seed": 3}))
    second = drive(single, mode, steps=steps, **(reset if reset is not None else {"seed": 3}))
    native.close()
    single.close()
    for index, (one, two) in enumerate(zip(first, second, strict=True)):
        assert data_equivalence(one, two, exact=True), f"entry {index}: {one} is not {two}"
    return first


@pytest.fixture
def disabled() -> Iterator[gym.vector.VectorEnv[Any, Any, Any]]:
    env = gym.make_vec(ID, num_envs=N, autoreset_mode="Disabled", max_episode_steps=3)
    env.reset(seed=0)
    yield env
    env.close()


@pytest.fixture
def native() -> Iterator[gym.vector.VectorEnv[Any, Any, Any]]:
    env = gym.make_vec(ID, num_envs=N)
    env.reset(seed=0)
    yield env
    env.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_native_equals_gymnasiums_vector_of_single_environments(variant: str, mode: str) -> None:
    assert_same(mode, **VARIANTS[variant])


@pytest.mark.parametrize("action_repeat", [1, 30])
@pytest.mark.parametrize("mode", MODES)
def test_terminations_equal_those_of_single_environments(mode: str, action_repeat: int) -> None:
    with gym.make(ID) as env:
        x, y = (
            float(value) for value in env.reset(seed=4)[0][:2]
        )  # the second environment starts at its goal
    reset = {"seed": 3, "options": {"context": {"goal": (x, y)}}}
    trace = assert_same(mode, steps=15, reset=reset, action_repeat=action_repeat)
    assert any(entry[2][1] for entry in trace if len(entry) == 5)
    assert any(entry[3].any() for entry in trace if len(entry) == 5)


def test_list_of_seeds_equals_gymnasiums() -> None:
    assert_same("NextStep", reset={"seed": [5, 1, 1, 9]})


@pytest.mark.parametrize("mode", MODES)
def test_one_pinned_context_for_all_equals_gymnasiums(mode: str) -> None:
    assert_same(mode, reset={"seed": 2, "options": {"context": GOALS[0]}})


def test_contexts_pinned_for_each_equal_single_environments(native) -> None:
    observation, info = native.reset(seed=6, options={"context": GOALS})
    np.testing.assert_array_equal(
        [tuple(goal) for goal in info["context"]["goal"]], [g["goal"] for g in GOALS]
    )
    for index, goal in enumerate(GOALS):
        with gym.make(ID) as single:
            start, _ = single.reset(seed=6 + index, options={"context": goal})
        assert np.array_equal(observation[index], start)


def test_physics_states_are_those_of_single_environments(native) -> None:
    native.reset(seed=6)
    native.step(np.full((N, 2), 0.5))
    for index, state in enumerate(native.unwrapped.physics_states()):
        with gym.make(ID) as single:
            single.reset(seed=6 + index)
            single.step(np.full(2, 0.5))
            assert np.array_equal(single.unwrapped.physics_state(), state)


def test_next_episode_draws_its_own_context_again() -> None:
    env = gym.make_vec(ID, num_envs=N, max_episode_steps=1)
    env.reset(seed=6, options={"context": GOALS[0]})
    for _ in range(2):  # the second step is the automatic reset
        *_, info = env.step(np.zeros((N, 2)))
    assert len({tuple(goal) for goal in info["context"]["goal"]}) == N
    env.close()


def test_masked_reset_leaves_the_other_episodes_running(disabled) -> None:
    disabled.step(np.ones((N, 2)))
    before, *_ = disabled.step(np.zeros((N, 2)))
    mask = np.array([True, False, False, True])
    after, info = disabled.reset(options={"reset_mask": mask})
    assert np.array_equal((after == before).all(axis=1), ~mask)
    assert np.array_equal(info["_context"], mask)
    *_, truncated, _ = disabled.step(np.zeros((N, 2)))
    assert np.array_equal(truncated, ~mask)


def test_spaces_hold_what_is_returned() -> None:
    env = gym.make_vec(ID, num_envs=N, observation=("pixels", "position"), context="observed", **PIXELS)
    assert env.observation_space.contains(env.reset(seed=0)[0])
    assert env.observation_space.contains(env.step(env.action_space.sample())[0])
    env.close()


def test_returned_arrays_are_not_overwritten_by_the_next_step(native) -> None:
    first = native.step(np.ones((N, 2)))
    kept = pickle.loads(pickle.dumps(first))
    native.step(np.ones((N, 2)))
    assert data_equivalence(first, kept, exact=True)


def test_pickled_vector_environment_continues_alike(native) -> None:
    native.step(np.ones((N, 2)))
    twin = pickle.loads(pickle.dumps(native))
    assert data_equivalence(native.step(np.ones((N, 2))), twin.step(np.ones((N, 2))), exact=True)


def test_async_vector_gives_the_same_states() -> None:
    kwargs = {"max_episode_steps": 12, "noise_scale": 0.2}
    workers = gym.make_vec(
        ID, num_envs=N, vectorization_mode="async", vector_kwargs={"context": "forkserver"}, **kwargs
    )
    native = gym.make_vec(ID, num_envs=N, **kwargs)
    first, second = (drive(env, "NextStep", steps=20, seed=3) for env in (native, workers))
    workers.close()
    for one, two in zip(first, second, strict=True):
        assert data_equivalence(one[:-1], two[:-1], exact=True)


def test_stepping_ended_environments_is_refused_and_names_them(disabled, refuses) -> None:
    for _ in range(3):
        disabled.step(np.zeros((N, 2)))
    disabled.reset(options={"reset_mask": np.array([True, False, True, True])})
    with refuses("[1]", "reset_mask", error=RuntimeError):
        disabled.step(np.zeros((N, 2)))


@pytest.mark.parametrize("mask", [np.ones(N - 1, bool), np.ones(N), [True] * N, True])
def test_wrong_reset_mask_is_refused_in_words(disabled, refuses, mask) -> None:
    with refuses("bool array", f"({N},)"):
        disabled.reset(options={"reset_mask": mask})


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_reset_mask_is_refused_where_environments_reset_themselves(mode: str, refuses) -> None:
    env = gym.make_vec(ID, num_envs=N, autoreset_mode=mode)
    with refuses("autoreset_mode='Disabled'"):
        env.reset(options={"reset_mask": np.ones(N, bool)})


@pytest.mark.parametrize("seed", [np.int64(3), np.arange(3, 3 + N), (3, np.int32(4), 5, 6)])
def test_numpys_seeds_are_those_of_python(native, seed) -> None:
    expected, _ = native.reset(seed=3)
    np.testing.assert_array_equal(native.reset(seed=seed)[0], expected)


@pytest.mark.parametrize("seed", [1.5, "3", [0.5, 1, 2, 3]])
def test_seeds_that_are_no_whole_numbers_are_refused_in_words(native, refuses, seed) -> None:
    with refuses("whole numbers", repr(seed)):
        native.reset(seed=seed)


def test_wrong_number_of_seeds_is_refused_in_words(native, refuses) -> None:
    with refuses(f"{N} of them", "got 2"):
        native.reset(seed=[1, 2])


def test_wrong_number_of_contexts_is_refused_in_words(native, refuses) -> None:
    with refuses(f"{N} of them", "got 3"):
        native.reset(options={"context": GOALS[:3]})


def test_unknown_reset_option_is_refused_in_words(native, refuses) -> None:
    with refuses("context, reset_mask", "physics_state"):
        native.reset(options={"physics_state": np.zeros(5)})


@pytest.mark.parametrize("num_envs", [0, -1])
def test_too_few_environments_are_refused_in_words(num_envs: int, refuses) -> None:
    with refuses("whole number from 1", str(num_envs)):
        PointMassVectorEnv(num_envs=num_envs)


def test_unknown_autoreset_mode_is_refused_in_words(refuses) -> None:
    with refuses("NextStep, SameStep, Disabled", "'Never'"):
        PointMassVectorEnv(num_envs=2, autoreset_mode="Never")


@pytest.mark.parametrize("actions", [np.full((N, 2), np.nan), np.zeros((N, 3)), np.zeros(2), "left"])
def test_bad_actions_are_refused_and_nothing_moves(native, refuses, actions) -> None:
    before = native.step(np.ones((N, 2)))[0]
    with refuses("action must"):
        native.step(actions)
    after = native.step(np.zeros((N, 2)))[0]
    assert np.abs(after - before).max() < 0.01


def test_step_before_reset_is_refused_in_words(refuses) -> None:
    with refuses("call reset() first", error=RuntimeError):
        PointMassVectorEnv(num_envs=2).step(np.zeros((2, 2)))


def test_environments_may_have_time_limits_of_their_own():
    env = gym.make_vec(ID, num_envs=2, autoreset_mode="SameStep", max_episode_steps=(2, 3))
    env.reset(seed=0)
    ended = np.array([env.step(np.zeros((2, 2), np.float32))[3] for _ in range(6)])
    assert ended.T.tolist() == [[False, True] * 3, [False, False, True] * 2]
    env.close()


@pytest.mark.parametrize("vectorization", ["vector_entry_point", "sync"])
def test_no_limit_and_the_worlds_own_are_said_as_to_single_environments(vectorization):
    ended = {}
    for steps in (None, -1):
        env = gym.make_vec(ID, num_envs=2, vectorization_mode=vectorization, max_episode_steps=steps)
        env.reset(seed=0)
        ended[steps] = [bool(env.step(np.zeros((2, 2), np.float32))[3].any()) for _ in range(101)].count(True)
        env.close()
    assert ended == {None: 1, -1: 0}


def test_a_bad_context_among_good_ones_leaves_all_episodes_as_they_are(native, refuses):
    native.reset(seed=0)
    native.step(np.zeros((N, 2), np.float32))
    before = native.physics_states()
    with refuses("goal"):
        native.reset(options={"context": [{"goal": (0.0, 0.0)}] * (N - 1) + [{"goal": (9.0, 0.0)}]})
    np.testing.assert_array_equal(native.physics_states(), before)


def test_rendering_is_refused_in_words(refuses):
    with refuses("no render()", "vectorization_mode='sync'"):
        gym.make_vec(ID, num_envs=2, render_mode="rgb_array")


@pytest.mark.parametrize("steps", [0, 2.5, (2, 3, 4), (2, 0)])
def test_impossible_time_limits_are_refused(steps, refuses):
    with refuses("max_episode_steps", "whole number from 1"):
        gym.make_vec(ID, num_envs=2, max_episode_steps=steps)
