"""The RLBench adapter and its simulator: launched once, shut down, left in peace; bad input and missing packages."""

import sys
from pathlib import Path
from typing import Any

import fake_rlbench as fake
import gymnasium as gym
import numpy as np
import pytest
from fake_rlbench import Make, simulated, simulator
from gymnasium.utils.env_checker import data_equivalence

ID = "LatentCtx-RLBench-v0"
STILL = np.array([0.0, 0.0, 0.0, 1.0], np.float32)


def episode(env: gym.Env[Any, Any], **reset: Any) -> list[Any]:
    env.action_space.seed(0)
    return [env.reset(**reset), *(env.step(env.action_space.sample()) for _ in range(8))]


# --- the simulator ---


def test_nothing_is_launched_before_the_first_reset_and_close_shuts_down_once(make_rlbench: Make) -> None:
    env = make_rlbench()
    assert fake.Environment.running == 0
    env.reset(seed=0)
    assert fake.Environment.running == 1 and simulator().headless
    env.close()
    env.close()
    assert fake.Environment.running == 0
    assert simulator().log.count("shutdown") == 1


def test_a_closed_environment_shows_nothing_and_starts_again_with_a_reset(make_rlbench: Make) -> None:
    env = make_rlbench(render_mode="rgb_array")
    first = episode(env, seed=1)
    env.unwrapped.close()
    assert env.unwrapped.render() is None
    assert data_equivalence(first, episode(env, seed=1), exact=True)


def test_a_forgotten_environment_shuts_its_simulator_down(make_rlbench: Make) -> None:
    gym.make(ID).unwrapped.reset(seed=0)
    assert fake.Environment.running == 0
    make_rlbench().reset(seed=0)


def test_a_closed_simulator_makes_room_for_the_next(make_rlbench: Make) -> None:
    first = make_rlbench()
    first.reset(seed=0)
    kept = first.unwrapped._simulator  # a reference to it changes nothing
    first.close()
    make_rlbench().reset(seed=0)
    assert kept is not None and fake.Environment.running == 1


def test_a_second_simulator_in_the_process_is_refused(make_rlbench: Make, refuses) -> None:
    first, second = make_rlbench(), make_rlbench()
    first.reset(seed=0)
    with refuses("runs once in a process", "close()", "AsyncVectorEnv", error=RuntimeError):
        second.reset(seed=0)
    first.step(STILL)


def test_only_the_chosen_camera_is_drawn_in_height_by_width(make_rlbench: Make) -> None:
    env = make_rlbench(image_size=(40, 56), camera="overhead")
    assert env.reset(seed=0)[0]["observation"].shape == (40, 56, 3)
    seen = simulated().get_observation()
    assert seen.front_rgb is None and seen.overhead_rgb.shape == (40, 56, 3)


def test_numpys_global_generator_is_left_as_it_was(make_rlbench: Make) -> None:
    env = make_rlbench()
    np.random.seed(4)
    expected = np.random.random(3)
    np.random.seed(4)
    first = [np.random.random()]
    reset = env.reset(seed=0)
    first.append(np.random.random())
    env.step(STILL)
    first.append(np.random.random())
    assert first == expected.tolist()
    assert data_equivalence(reset, env.reset(seed=0), exact=True)


# --- refusals ---

ARGUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "task": ({"task": "juggle"}, "one of RLBench's tasks, such as reach_target"),
    "task-path": ({"task": "../reach_target"}, "one of RLBench's tasks"),
    "task-class": ({"task": "reach__target"}, "one of RLBench's tasks"),
    "task-none": ({"task": None}, "one of RLBench's tasks"),
    "variation": ({"variation": -1}, "whole number from 0"),
    "variation-float": ({"variation": 0.5}, "whole number from 0"),
    "variation-bool": ({"variation": True}, "whole number from 0"),
    "size": ({"image_size": 0}, "positive int or (height, width)"),
    "camera": ({"camera": "nose"}, "left_shoulder, right_shoulder, overhead, wrist, front"),
    "step": ({"step_size": 0.0}, "positive number [m]"),
    "step-nan": ({"step_size": float("nan")}, "positive number [m]"),
    "step-text": ({"step_size": "far"}, "positive number [m]"),
    "render_mode": ({"render_mode": "human"}, "None or 'rgb_array'"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_impossible_arguments_are_refused(case: str, make_rlbench: Make, refuses) -> None:
    from latentctx_envs.rlbench.env import RLBenchEnv

    arguments, expected = ARGUMENTS[case]
    with refuses(expected, repr(next(iter(arguments.values())))):
        RLBenchEnv(**arguments)


def test_a_variation_that_the_task_does_not_have_is_refused_and_nothing_runs_on(
    make_rlbench: Make, refuses
) -> None:
    with refuses("0 to 2 for reach_target", "got 3"):
        make_rlbench(variation=3).reset(seed=0)
    assert fake.Environment.running == 0


def test_reset_has_no_options(make_rlbench: Make, refuses) -> None:
    with refuses("no options", "context"):
        make_rlbench().reset(options={"context": {"variation": 1}})


@pytest.mark.parametrize("action", [np.zeros(3), np.zeros((1, 4)), np.full(4, np.nan), "left"])
def test_bad_actions_are_refused_and_nothing_moves(make_rlbench: Make, refuses, action: Any) -> None:
    env = make_rlbench().unwrapped
    env.reset(seed=0)
    calls = len(simulator().log)
    with refuses("action must"):
        env.step(action)
    assert len(simulator().log) == calls


def test_a_step_without_an_episode_is_refused(make_rlbench: Make, refuses) -> None:
    env = make_rlbench().unwrapped
    with refuses("call reset() first", error=RuntimeError):
        env.step(STILL)
    env.reset(seed=0)
    env.close()
    with refuses("call reset() first", error=RuntimeError):
        env.step(STILL)


# --- installation ---

NEEDED = ("CoppeliaSim 4.1", "PyRep and RLBench from their git repositories", "another package called pyrep")


def test_without_rlbench_one_line_names_what_to_install(monkeypatch: pytest.MonkeyPatch, refuses) -> None:
    fake.uninstall(monkeypatch)
    with refuses(*NEEDED, "docs/envs/rlbench.md", error=ImportError):
        gym.make(ID)


def test_the_other_package_called_pyrep_is_recognised(monkeypatch: pytest.MonkeyPatch, refuses) -> None:
    fake.install_the_other_pyrep(monkeypatch)
    with refuses(*NEEDED, "is that other one: uninstall it", error=ImportError):
        gym.make(ID)


def test_what_pyrep_itself_misses_is_in_the_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refuses
) -> None:
    fake.uninstall(monkeypatch)
    monkeypatch.delitem(sys.modules, "pyrep")
    (tmp_path / "pyrep.py").write_text(
        "raise ImportError('libcoppeliaSim.so.1: cannot open shared object file')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with refuses(*NEEDED, "libcoppeliaSim.so.1: cannot open", error=ImportError):
        gym.make(ID)


def test_bad_arguments_are_named_even_where_rlbench_is_missing(
    monkeypatch: pytest.MonkeyPatch, refuses
) -> None:
    fake.uninstall(monkeypatch)
    with refuses("camera must be one of"):
        gym.make(ID, camera="nose")
