"""Bad input to an environment is refused with one line that says what was expected; nothing else happens."""

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from latentctx_envs.point_mass.context import PointMassContext, split_goals
from latentctx_envs.point_mass.env import PointMassEnv
from latentctx_envs.settings import Settings

ID = "LatentCtx-PointMass-v0"
KITCHEN = ("microwave", "kettle", "light switch", "slide cabinet")
SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "observation": ({"observation": "rgb"}, "state, position, pixels"),
    "observation-none": ({"observation": None}, "state, position, pixels"),
    "observation-empty": ({"observation": ()}, "state, position, pixels"),
    "observation-twice": ({"observation": ("state", "state")}, "several different ones"),
    "context": ({"context": "seen"}, "hidden, observed"),
    "split": ({"context_split": "validation"}, "train, test, all"),
    "profile": ({"render_profile": "best"}, "reference, fast, turbo"),
    "camera": ({"camera": "nose"}, "['fixed', 'chase']"),
    "size-zero": ({"image_size": 0}, "positive int or (height, width)"),
    "size-float": ({"image_size": 48.5}, "positive int or (height, width)"),
    "size-none": ({"image_size": None}, "positive int or (height, width)"),
    "size-single": ({"image_size": (48,)}, "positive int or (height, width)"),
    "size-text": ({"image_size": "84"}, "positive int or (height, width)"),
    "repeat": ({"action_repeat": 0}, "whole number from 1"),
    "repeat-float": ({"action_repeat": 1.5}, "whole number from 1"),
    "noise": ({"noise_scale": -0.1}, "finite number from 0"),
    "noise-nan": ({"noise_scale": float("nan")}, "finite number from 0"),
    "noise-text": ({"noise_scale": "loud"}, "finite number from 0"),
    "render_mode": ({"render_mode": "ascii"}, "None or 'rgb_array'"),
}
GOALS: dict[str, tuple[Any, str]] = {
    "outside": ((0.0, 0.3), "[-0.29, 0.29] m"),
    "nan": ((0.0, float("nan")), "two finite numbers"),
    "infinite": ((0.0, float("inf")), "two finite numbers"),
    "three": ((0.0, 0.0, 0.0), "two finite numbers"),
    "one": (0.1, "two finite numbers"),
    "none": (None, "two finite numbers"),
    "text": ("left", "two finite numbers"),
    "dict": ({"x": 0.1}, "two finite numbers"),
}
OPTIONS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "option": ({"contxt": {}}, ("context, physics_state", "contxt")),
    "field": ({"context": {"gaol": (0, 0)}}, ("['goal']", "['gaol']")),
    "no-field": ({"context": {}}, ("['goal']", "missing")),
    "not-a-context": ({"context": 3}, ("PointMassContext", "got 3")),
    "state-length": ({"physics_state": np.zeros(4)}, ("5 finite numbers", "(4,)")),
    "state-nan": ({"physics_state": np.full(5, np.nan)}, ("5 finite numbers",)),
    "state-text": ({"physics_state": "here"}, ("5 finite numbers", "'here'")),
}
ACTIONS: dict[str, tuple[Any, str]] = {
    "short": (np.zeros(1), "shape (2,)"),
    "batched": (np.zeros((1, 2)), "shape (2,)"),
    "nan": (np.array([0.0, np.nan]), "finite"),
    "infinite": (np.array([np.inf, 0.0]), "finite"),
    "text": ("left", "numbers of shape (2,)"),
    "none": (None, "shape (2,)"),
}


@pytest.fixture
def env() -> Iterator[gym.Env[Any, Any]]:
    with gym.make(ID) as made:
        made.reset(seed=0)
        yield made


@pytest.mark.parametrize("case", SETTINGS)
def test_impossible_settings_are_refused(case: str, refuses) -> None:
    kwargs, expected = SETTINGS[case]
    with refuses(expected, repr(next(iter(kwargs.values())))):
        PointMassEnv(**kwargs)


def test_a_context_that_nothing_shows_cannot_be_made_visible(refuses) -> None:
    for make in (gym.make, gym.make_vec):
        with refuses("context_visible=True", "context='observed'"):
            make("LatentCtx-Cheetah-v0", observation="pixels", context_visible=True)
        with refuses("say goal_visible instead"):
            make(ID, observation="pixels", context_visible=True)


def test_unknown_setting_is_refused_by_name(refuses) -> None:
    with refuses("has no argument imagesize", "image_size", error=TypeError):
        PointMassEnv(imagesize=84)
    with refuses("has no argument render_context", error=TypeError):
        gym.make("LatentCtx-Walker-v0", render_context=True)


def test_settings_are_frozen(refuses) -> None:
    with refuses("image_size", error=AttributeError):
        Settings().image_size = 3  # type: ignore[misc]


@pytest.mark.parametrize("case", GOALS)
def test_impossible_goals_are_refused(case: str, env: gym.Env[Any, Any], refuses) -> None:
    goal, expected = GOALS[case]
    with refuses("goal must", expected, repr(goal)):
        env.reset(options={"context": {"goal": goal}})


@pytest.mark.parametrize("case", OPTIONS)
def test_wrong_reset_options_are_refused(case: str, env: gym.Env[Any, Any], refuses) -> None:
    options, words = OPTIONS[case]
    with refuses(*words):
        env.reset(options=options)


@pytest.mark.parametrize("case", ACTIONS)
def test_bad_actions_are_refused_and_nothing_moves(case: str, env: gym.Env[Any, Any], refuses) -> None:
    action, expected = ACTIONS[case]
    before = env.unwrapped.physics_state()
    with refuses("action must", expected):
        env.step(action)
    assert np.array_equal(env.unwrapped.physics_state(), before)


def test_step_before_reset_is_refused(refuses) -> None:
    with refuses("call reset() first", error=RuntimeError):
        PointMassEnv().step(np.zeros(2))


def test_context_before_reset_is_refused(refuses) -> None:
    with refuses("call reset() first", error=RuntimeError):
        _ = PointMassEnv().current_context


def test_step_after_a_stored_frame_is_refused(env: gym.Env[Any, Any], refuses) -> None:
    base = env.unwrapped
    base.frame(base.physics_state(), base.current_context)
    with refuses("call reset() first", error=RuntimeError):
        base.step(np.zeros(2))


def test_split_all_has_no_finite_list(refuses) -> None:
    with refuses("'all'", "no finite list"):
        split_goals("all")


def test_sampling_an_unknown_split_is_refused(refuses) -> None:
    with refuses("train, test, all", "'validation'"):
        PointMassContext.sample(np.random.default_rng(0), "validation")  # type: ignore[arg-type]


def test_a_refused_reset_draws_nothing():
    with gym.make("LatentCtx-PointMass-v0") as asked, gym.make("LatentCtx-PointMass-v0") as plain:
        for env in (asked, plain):
            env.reset(seed=0)
        with pytest.raises(ValueError, match="goal"):
            asked.reset(seed=1, options={"context": {"goal": (9.0, 9.0)}})
        assert asked.reset()[1]["context"] == plain.reset()[1]["context"]


def test_settings_take_numpys_numbers_and_no_words_for_truth(refuses):
    numbers = {"action_repeat": np.int64(2), "noise_scale": np.float32(0.1)}
    with gym.make("LatentCtx-PointMass-v0", observation="pixels", image_size=np.int64(24), **numbers) as env:
        assert env.reset(seed=0)[0].shape == (24, 24, 3)
    for name, value in {"terminate_on_success": "False", "image_size": True, "action_repeat": True}.items():
        with refuses(name, repr(value)):
            gym.make("LatentCtx-PointMass-v0", **{name: value})
    for name in ("observation", "render_profile"):
        with refuses(name, "must be one of"):
            gym.make("LatentCtx-PointMass-v0", **{name: ["state", ["x"]]})


@pytest.mark.parametrize(
    ("env_id", "arguments", "told"),
    [
        ("LatentCtx-Walker-v0", {"context_split": "train"}, "have no split 'train'"),
        ("LatentCtx-WalkerRun-v0", {"context_split": "test"}, "have no split 'test'"),
        ("LatentCtx-PickPlace-v0", {"context_split": "test"}, "have no split 'test'"),
        ("LatentCtx-MetaWorldGoal-v0", {"context_split": "train"}, "`latentctx envs <id>` says which"),
        ("LatentCtx-Kitchen-v0", {"context_split": "train", "subtasks": KITCHEN}, "have no split 'train'"),
        ("LatentCtx-PickPlace-v0", {"frozen_goal": "no"}, "frozen_goal must be True or False"),
        ("LatentCtx-PickPlace-v0", {"window": 0}, "window must be True or False"),
        ("LatentCtx-PickPlace-v0", {"hand_jitter": "a"}, "hand_jitter must lie in"),
        ("LatentCtx-PickPlace-v0", {"goal_visible": "no"}, "goal_visible must be True or False"),
        ("LatentCtx-Kitchen-v0", {"ordered": "false"}, "ordered must be True or False"),
        ("LatentCtx-PointMass-v0", {"render_context": "x"}, "render_context must be True or False"),
    ],
)
def test_what_a_world_does_not_know_or_cannot_do_is_refused(
    refuses: Any, env_id: str, arguments: dict[str, Any], told: str
) -> None:
    with refuses(told):
        gym.make(env_id, **arguments)


@pytest.mark.parametrize("env_id", ["LatentCtx-Walker-v0", "LatentCtx-CheetahRun-v0"])
def test_a_vector_has_the_splits_of_its_world(refuses: Any, env_id: str) -> None:
    with refuses("have no split 'train'"):
        gym.make_vec(env_id, num_envs=2, context_split="train")
