"""The RLBench adapter on a stand-in for RLBench: what it calls, what it shows, what it refuses."""

import json
import re
from pathlib import Path
from typing import Any

import fake_rlbench as fake
import gymnasium as gym
import numpy as np
import pytest
from fake_rlbench import Make, simulated, simulator
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env, data_equivalence
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from latentctx_agents.cli import world_commands
from latentctx_envs.checks import INFO_KEYS
from latentctx_envs.goal_images import image_distance

ID = "LatentCtx-RLBench-v0"
PAGE = Path(__file__).parents[2] / "docs" / "envs" / "rlbench.md"
STILL = np.array([0.0, 0.0, 0.0, 1.0], np.float32)
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "wide": {"task": "push_button", "image_size": (40, 56), "camera": "wrist", "variation": 2},
}


@pytest.fixture(params=VARIANTS)
def kwargs(request: pytest.FixtureRequest) -> dict[str, Any]:
    return VARIANTS[request.param]


def episode(env: gym.Env[Any, Any], **reset: Any) -> list[Any]:
    env.action_space.seed(0)
    return [env.reset(**reset), *(env.step(env.action_space.sample()) for _ in range(8))]


def reach(env: gym.Env[Any, Any]) -> tuple[Any, ...]:
    """Walk to the target; the step that reaches it."""
    while True:
        way = np.clip((simulated().target - simulated().gripper) / 0.02, -1.0, 1.0)
        last = env.step(np.append(way, 1.0).astype(np.float32))
        if last[4]["success"] or last[3]:
            return last


# --- the contract that every goal environment keeps ---


def test_gymnasiums_checker_accepts_it(make_rlbench: Make, kwargs: dict[str, Any]) -> None:
    check_env(make_rlbench(**kwargs).unwrapped, skip_render_check=True)


def test_stable_baselines3s_checker_accepts_it(make_rlbench: Make, kwargs: dict[str, Any]) -> None:
    sb3_check_env(make_rlbench(**kwargs).unwrapped, warn=False)


def test_one_seed_decides_everything_also_the_next_episode(
    make_rlbench: Make, kwargs: dict[str, Any]
) -> None:
    env = make_rlbench(**kwargs)
    first = [episode(env, seed=11), episode(env)]
    env.close()
    again = make_rlbench(**kwargs)
    assert data_equivalence(first, [episode(again, seed=11), episode(again)], exact=True)
    assert not data_equivalence(first[0][0], first[1][0], exact=True)
    assert not data_equivalence(first[0][0], again.reset(seed=12), exact=True)


def test_a_spec_that_went_through_json_makes_the_same_environment(
    make_rlbench: Make, kwargs: dict[str, Any]
) -> None:
    env = make_rlbench(**kwargs)
    assert env.spec is not None
    before = episode(env, seed=3)
    env.close()
    with gym.make(EnvSpec.from_json(env.spec.to_json())) as rebuilt:
        assert data_equivalence(before, episode(rebuilt, seed=3), exact=True)


def test_infos_have_the_same_plain_keys_at_every_step(make_rlbench: Make) -> None:
    trace = episode(make_rlbench(variation=1), seed=0)
    for info in (trace[0][1], trace[-1][4]):
        assert set(info) == INFO_KEYS
        assert type(info["success"]) is bool and type(info["is_success"]) is bool
        assert json.loads(json.dumps(info["context"])) == {"task": "reach_target", "variation": 1}


def test_episodes_are_truncated_after_fifty_steps(make_rlbench: Make) -> None:
    env = make_rlbench()
    env.reset(seed=0)
    ends = [env.step(STILL)[3] for _ in range(50)]
    assert ends == [False] * 49 + [True]


# --- goals ---


def test_the_goal_is_the_last_frame_of_a_demonstration_of_the_same_layout(make_rlbench: Make) -> None:
    env = make_rlbench()
    observation, _ = env.reset(seed=0)
    task = simulated()
    task.gripper = task.target  # where the fake's demonstrations end
    assert np.array_equal(observation["desired_goal"], task.get_observation().front_rgb)
    assert np.array_equal(observation["achieved_goal"], observation["observation"])
    assert not np.array_equal(observation["observation"], observation["desired_goal"])
    assert simulator().log == ["ReachTarget", "get_demos", "reset", "reset_to_demo", "reset"]


def test_reaching_the_goal_is_a_success_without_punishment(make_rlbench: Make) -> None:
    env = make_rlbench()
    env.reset(seed=0)
    first = env.step(STILL)
    observation, reward, terminated, _, info = reach(env)
    assert info["success"] is info["is_success"] is True
    assert not first[4]["success"] and first[1] < reward <= 0.0
    assert not terminated
    task = simulated()
    task.step(np.array([*(task.target - task.gripper), 0.0, 0.0, 0.0, 1.0, 1.0]))
    assert np.array_equal(task.get_observation().front_rgb, observation["desired_goal"])


def test_success_ends_the_episode_if_asked(make_rlbench: Make) -> None:
    env = make_rlbench(terminate_on_success=True)
    env.reset(seed=0)
    assert reach(env)[2] is True


def test_the_reward_of_a_step_is_compute_reward_alone_and_in_a_batch(make_rlbench: Make) -> None:
    env = make_rlbench()
    steps = episode(env, seed=5)[1:]
    achieved, desired = (
        np.stack([step[0][key] for step in steps]) for key in ("achieved_goal", "desired_goal")
    )
    rewards = [step[1] for step in steps]
    base: Any = env.unwrapped
    assert base.compute_reward(achieved, desired, [step[4] for step in steps]).tolist() == rewards
    assert rewards[0] == -image_distance(achieved[0], desired[0]) < 0.0
    assert base.compute_reward(achieved, achieved, None).tolist() == [0.0] * len(steps)


def test_pictures_with_channels_first_as_in_replay_buffers_are_rewarded_alike(
    make_rlbench: Make, kwargs: dict[str, Any]
) -> None:
    env = make_rlbench(**kwargs)
    observations = [step[0] for step in episode(env, seed=5)]
    base: Any = env.unwrapped
    goals = [np.stack([seen[key] for seen in observations]) for key in ("achieved_goal", "desired_goal")]
    moved = [np.moveaxis(goal, -1, 1) for goal in goals]
    assert np.array_equal(base.compute_reward(*moved), base.compute_reward(*goals))


def test_what_was_returned_is_not_overwritten_and_shared_with_nothing(make_rlbench: Make) -> None:
    env = make_rlbench(render_mode="rgb_array")
    observation, info = env.reset(seed=0)
    kept, picture = {key: value.copy() for key, value in observation.items()}, env.render()
    env.step(np.ones(4, np.float32))
    assert data_equivalence(observation, kept, exact=True)
    assert np.array_equal(picture, kept["observation"])
    assert not np.shares_memory(observation["observation"], observation["achieved_goal"])
    for value in (*observation.values(), env.render()):
        value[:] = 7
    info["context"].clear()
    assert not (env.render() == 7).all()
    after = env.step(STILL)
    assert after[4]["context"] and not any((value == 7).all() for value in after[0].values())


def test_a_new_episode_begins_without_the_success_of_the_last(make_rlbench: Make) -> None:
    env = make_rlbench()
    env.reset(seed=0)
    reach(env)
    assert env.reset()[1]["success"] is False


@pytest.mark.parametrize("variation", range(len(fake.COLOURS)))
def test_the_variation_is_the_one_that_was_asked_for(make_rlbench: Make, variation: int) -> None:
    observation, _ = make_rlbench(variation=variation).reset(seed=0)
    colours = {tuple(pixel) for pixel in observation["observation"].reshape(-1, 3).tolist()}
    assert colours & set(fake.COLOURS) == {fake.COLOURS[variation]}


# --- actions ---


def test_an_action_is_a_relative_move_without_a_turn_and_an_open_or_closed_gripper(
    make_rlbench: Make,
) -> None:
    env = make_rlbench(step_size=0.05)
    env.reset(seed=0)
    env.step(np.array([1.0, -0.5, 0.2, 0.1], np.float32))
    env.step(np.array([0.0, 0.0, -9.0, 0.0], np.float32))  # clipped; at zero the gripper is closed
    sent = [entry for entry in simulator().log if isinstance(entry, np.ndarray)]
    assert np.allclose(sent[0], [0.05, -0.025, 0.01, 0.0, 0.0, 0.0, 1.0, 1.0])
    assert np.allclose(sent[1], [0.0, 0.0, -0.05, 0.0, 0.0, 0.0, 1.0, 0.0])
    assert np.allclose(simulated().gripper - fake.START, [0.05, -0.025, -0.04])


@pytest.mark.parametrize(
    "error",
    [fake.InvalidActionError, fake.IKError, fake.ConfigurationError, fake.ConfigurationPathError],
)
def test_a_move_that_the_arm_cannot_make_is_a_step_in_which_nothing_moves(
    make_rlbench: Make, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def impossible(_: np.ndarray) -> None:
        raise error("Could not perform IK via Jacobian")

    env = make_rlbench()
    env.reset(seed=0)
    before = reach(env)
    with monkeypatch.context() as patch:
        patch.setattr(simulated(), "step", impossible)
        assert data_equivalence(env.step(STILL), before, exact=True)


def test_beyond_the_arms_reach_the_gripper_stays(make_rlbench: Make) -> None:
    env = make_rlbench(step_size=0.1)
    env.reset(seed=0)
    frames = [env.step(np.array([1.0, 0.0, 0.0, 1.0], np.float32))[0]["observation"] for _ in range(6)]
    assert np.array_equal(frames[-1], frames[-2]) and not np.array_equal(frames[0], frames[-1])
    assert simulated().gripper[0] <= fake.REACH


# --- the page and the command ---


def test_the_code_of_the_page_runs(make_rlbench: Make) -> None:
    blocks = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    exec("\n".join(blocks), {})


def test_the_command_lists_and_describes_it(
    make_rlbench: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(world_commands, "ids", lambda: (ID,))
    world_commands.envs([])
    assert "achieved_goal (64, 64, 3)" in capsys.readouterr().out
    world_commands.envs([ID])
    assert "Franka Panda" in (described := capsys.readouterr().out)
    assert f'make: gym.make("{ID}")' in described
