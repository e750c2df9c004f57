"""What LatentCtx-OGBench-v0 refuses, each in one line: arguments, options, actions, a missing package."""

import json
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from latentctx_envs.ogbench.context import OGBenchContext
from latentctx_envs.ogbench.env import OGBenchEnv
from latentctx_envs.rlbench.context import RLBenchContext

ID = "LatentCtx-OGBench-v0"
ARGUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "task": ({"task": "juggle"}, "one of visual-cube-single, visual-cube-double"),
    "task-version": ({"task": "visual-scene-v0"}, "visual-scene, "),
    "task-none": ({"task": None}, "task must be one of"),
    "goal": ({"goal": 6}, "whole number from 1 to 5"),
    "goal-zero": ({"goal": 0}, "whole number from 1 to 5"),
    "goal-float": ({"goal": 2.0}, "whole number from 1 to 5"),
    "goal-bool": ({"goal": True}, "whole number from 1 to 5"),
    "size": ({"image_size": 0}, "positive int or (height, width)"),
    "profile": ({"render_profile": "best"}, "reference, fast, turbo"),
    "render_mode": ({"render_mode": "human"}, "None or 'rgb_array'"),
}
OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "option": ({"task_id": 1}, "reset options are context; got task_id"),
    "field": ({"context": {"goal": 1}}, "fields ['task', 'goal']; missing ['task']"),
    "kind": ({"context": 3}, "OGBenchContext or a dict"),
    "goal": ({"context": {"task": "visual-cube-single", "goal": 9}}, "whole number from 1 to 5; got 9"),
    "task": ({"context": OGBenchContext("visual-scene", 1)}, "task is visual-cube-single; the context's"),
}
ACTIONS = {
    "short": np.zeros(4),
    "batch": np.zeros((1, 5)),
    "nan": np.full(5, np.nan),
    "infinite": np.full(5, np.inf),
    "text": "left",
}


@pytest.fixture
def playing(ogbench_pair: tuple[gym.Env[Any, Any], gym.Env[Any, Any]]) -> OGBenchEnv:
    """An environment in the middle of an episode."""
    base = ogbench_pair[0].unwrapped
    assert isinstance(base, OGBenchEnv)
    base.reset(seed=0)
    return base


@pytest.mark.parametrize("case", ARGUMENTS)
def test_impossible_arguments_are_refused(case: str, refuses: Any) -> None:
    arguments, expected = ARGUMENTS[case]
    with refuses(expected, repr(next(iter(arguments.values())))):
        OGBenchEnv(**arguments)


@pytest.mark.parametrize(
    "context", [OGBenchContext("visual-scene", np.int64(2)), RLBenchContext("push_button", np.int64(2))]
)
def test_numpys_whole_numbers_are_plain_ones_in_contexts(context: OGBenchContext | RLBenchContext) -> None:
    assert json.loads(json.dumps(context.to_dict())) == context.to_dict()
    assert OGBenchEnv(goal=np.int32(5)).action_space.shape == (5,)


@pytest.mark.parametrize("case", OPTIONS)
def test_impossible_options_are_refused_and_the_episode_goes_on(
    case: str, playing: OGBenchEnv, refuses: Any
) -> None:
    options, expected = OPTIONS[case]
    with refuses(expected):
        playing.reset(options=options)
    playing.step(np.zeros(5))


@pytest.mark.parametrize("case", ACTIONS)
def test_bad_actions_are_refused_and_nothing_moves(case: str, playing: OGBenchEnv, refuses: Any) -> None:
    assert playing._simulator is not None
    before = playing._simulator._world.data.time
    with refuses("action must"):
        playing.step(ACTIONS[case])  # type: ignore[arg-type]
    assert playing._simulator._world.data.time == before


def test_a_step_without_an_episode_is_refused(refuses: Any) -> None:
    env = OGBenchEnv()
    with refuses("call reset() first", error=RuntimeError):
        env.step(np.zeros(5))
    env.close()
    env.close()
    assert env.render() is None


def test_a_missing_package_is_named_when_the_world_is_made(
    monkeypatch: pytest.MonkeyPatch, refuses: Any
) -> None:
    monkeypatch.setitem(sys.modules, "ogbench", None)
    with refuses("needs ogbench", "latentctx-envs[ogbench]", error=ImportError):
        gym.make(ID)
    with refuses("goal must be"):  # what is wrong anyway is said first
        gym.make(ID, goal=7)
