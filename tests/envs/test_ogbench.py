"""OGBench's worlds: the contract of goal environments, seeds, pictures of goals, upstream's frames, Stable-Baselines3."""

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from stable_baselines3.common.env_checker import check_env as sb3_check_env
from stable_baselines3.common.vec_env import DummyVecEnv

from latentctx_envs.checks import INFO_KEYS
from latentctx_envs.extras import require
from latentctx_envs.goal_images import image_distance
from latentctx_envs.ogbench.context import TASKS, OGBenchContext
from latentctx_envs.ogbench.simulator import Simulator
from latentctx_envs.rendering import Renderer, gl_backend

ID = "LatentCtx-OGBench-v0"
STILL = np.zeros(5, np.float32)
LAMPS = '<light pos="0 0 2" cutoff="8" directional="false"/>' * 4
OTHER_WORLD = f'<mujoco><worldbody>{LAMPS}<geom type="plane" size="1 1 1"/><camera name="c" pos="0 0 1"/></worldbody></mujoco>'
UPSTREAM = """
import sys
import gymnasium, numpy as np, ogbench
from gymnasium import spaces
from ogbench.manipspace.envs.scene_env import SceneEnv
space = spaces.Box(-1.0, 1.0, (5,), np.float32)
SceneEnv.action_space = property(lambda self: space)
space.seed(7)
env = gymnasium.make("visual-scene-v0", disable_env_checker=True).unwrapped
frame, info = env.reset(seed=7, options={"task_id": 2, "render_goal": True})
moved, *_ = env.step(np.full(5, 0.5))
np.save(sys.argv[1], [frame, info["goal"], info["goal_rendered"], moved])
env._renderer.close()
"""


@pytest.fixture
def env(ogbench_pair: tuple[gym.Env[Any, Any], gym.Env[Any, Any]]) -> gym.Env[Any, Any]:
    """LatentCtx-OGBench-v0 with episodes of nine steps."""
    return ogbench_pair[0]


@pytest.fixture
def twin(ogbench_pair: tuple[gym.Env[Any, Any], gym.Env[Any, Any]]) -> gym.Env[Any, Any]:
    """The same, made from what JSON kept of the first one's spec."""
    return ogbench_pair[1]


@pytest.fixture
def world(env: gym.Env[Any, Any]) -> Any:
    """OGBench's own environment, inside `env`."""
    return env.unwrapped._simulator._world


def episode(env: gym.Env[Any, Any], **reset: Any) -> list[Any]:
    env.action_space.seed(0)
    return [env.reset(**reset), *(env.step(env.action_space.sample()) for _ in range(8))]


def solve(world: Any) -> None:
    """Put the cube where the goal wants it."""
    world.data.joint("object_joint_0").qpos[:3] = world.data.mocap_pos[0]
    mujoco.mj_forward(world.model, world.data)


# --- the contract that every goal environment keeps ---


def test_checkers_of_gymnasium_and_stable_baselines3_accept_it(env: gym.Env[Any, Any]) -> None:
    check_env(env.unwrapped, skip_render_check=True, skip_close_check=True)  # that would build one more
    sb3_check_env(env.unwrapped, warn=False)


def test_one_seed_decides_everything_also_in_another_environment_beside_it(
    env: gym.Env[Any, Any], twin: gym.Env[Any, Any]
) -> None:
    first = [episode(env, seed=11), episode(env)]
    twin.reset(seed=5)
    assert data_equivalence(first[0], episode(twin, seed=11), exact=True)
    episode(env, seed=12)
    assert data_equivalence(first[1], episode(twin), exact=True)
    assert not data_equivalence(first[0][0], first[1][0], exact=True)


def test_environments_in_turns_do_not_disturb_each_other(
    env: gym.Env[Any, Any], twin: gym.Env[Any, Any]
) -> None:
    alone = episode(env, seed=3)
    env.reset(seed=3)
    twin.reset(seed=4)
    env.action_space.seed(0)
    for expected in alone[1:]:
        twin.step(-np.ones(5, np.float32))
        assert data_equivalence(expected, env.step(env.action_space.sample()), exact=True)


def test_numpys_global_generator_is_left_alone(env: gym.Env[Any, Any]) -> None:
    np.random.seed(4)
    before = np.random.get_state()
    episode(env, seed=0)
    assert data_equivalence(before, np.random.get_state(), exact=True)


def test_infos_have_the_same_plain_keys_at_every_step(env: gym.Env[Any, Any]) -> None:
    trace = episode(env, seed=0)
    for info in (trace[0][1], trace[-1][4]):
        assert set(info) == INFO_KEYS
        assert type(info["success"]) is bool and type(info["is_success"]) is bool
        assert set(json.loads(json.dumps(info["context"]))) == {"task", "goal"}


def test_episodes_are_truncated(env: gym.Env[Any, Any]) -> None:
    ends = [step[3] for step in episode(env, seed=0)[1:]]
    assert [*ends, env.step(STILL)[3]] == [False] * 8 + [True]
    assert gym.spec(ID).max_episode_steps == 200


def test_what_was_returned_is_not_overwritten_and_shared_with_nothing(env: gym.Env[Any, Any]) -> None:
    observation, info = env.reset(seed=0)
    kept = {key: value.copy() for key, value in observation.items()}
    assert np.array_equal(env.render(), kept["observation"])
    env.step(np.ones(5, np.float32))
    assert data_equivalence(observation, kept, exact=True)
    for value in (*observation.values(), env.render()):
        value[:] = 7
    info["context"].clear()
    after = env.step(STILL)
    assert after[4]["context"] and not any((value == 7).all() for value in after[0].values())
    assert not np.shares_memory(after[0]["observation"], after[0]["achieved_goal"])


# --- goals ---


def test_seeds_draw_goals_and_a_pinned_one_leaves_the_rest_of_a_seed_alone(
    env: gym.Env[Any, Any],
) -> None:
    goals = {env.reset(seed=seed)[1]["context"]["goal"] for seed in range(8)}
    assert len(goals) > 2
    drawn = env.reset(seed=0)
    context = drawn[1]["context"]
    assert data_equivalence(drawn, env.reset(seed=0, options={"context": context}), exact=True)
    other = OGBenchContext(context["task"], context["goal"] % 5 + 1)
    assert env.reset(seed=0, options={"context": other})[1]["context"] == other.to_dict()


def test_the_goals_picture_shows_the_cube_where_a_success_has_it(env: gym.Env[Any, Any], world: Any) -> None:
    observation, info = env.reset(seed=0)
    goal = observation["desired_goal"]
    assert not info["success"] and not np.array_equal(observation["observation"], goal)
    solve(world)
    after, _, terminated, _, info = env.step(STILL)
    assert info["success"] is info["is_success"] is True and not terminated
    red = [
        np.argwhere(seen[..., 0] > seen[..., 2] + 60).mean(axis=0) for seen in (after["observation"], goal)
    ]
    np.testing.assert_allclose(red[0], red[1], atol=1.0)  # [pixels]
    assert not env.reset()[1]["success"]


def test_success_ends_the_episode_if_asked(
    env: gym.Env[Any, Any], world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env.unwrapped, "_terminates", True)
    env.reset(seed=0)
    assert env.step(STILL)[2] is False
    solve(world)
    assert env.step(STILL)[2] is True


def test_the_reward_of_a_step_is_compute_reward_alone_in_a_batch_and_with_channels_first(
    env: gym.Env[Any, Any],
) -> None:
    steps = episode(env, seed=5)[1:]
    goals = [np.stack([step[0][key] for step in steps]) for key in ("achieved_goal", "desired_goal")]
    rewards = [step[1] for step in steps]
    base: Any = env.unwrapped
    assert base.compute_reward(*goals, [step[4] for step in steps]).tolist() == rewards
    assert rewards[0] == -image_distance(goals[0][0], goals[1][0]) < 0.0
    assert base.compute_reward(goals[0], goals[0], None).tolist() == [0.0] * len(steps)
    assert base.compute_reward(*(np.moveaxis(goal, -1, 1) for goal in goals)).tolist() == rewards


# --- actions and frames ---


def test_actions_move_the_gripper_in_units_of_five_centimetres_and_are_clipped(
    env: gym.Env[Any, Any], world: Any
) -> None:
    moved = []
    for size in (1.0, 9.0):
        env.reset(seed=1)
        target = world.data.site_xpos[world._pinch_site_id] + [-0.05, 0.0, 0.0]
        env.step(np.array([-size, 0.0, 0.0, 0.0, 0.0], np.float32))
        np.testing.assert_allclose(world._target_effector_pose.translation(), target, atol=1e-6)
        moved.append(world.data.qpos.copy())
    assert np.array_equal(moved[0], moved[1])


def test_a_lamp_of_another_world_does_not_change_frames(env: gym.Env[Any, Any]) -> None:
    before = env.reset(seed=0)
    model = mujoco.MjModel.from_xml_string(OTHER_WORLD)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    Renderer(model, size=(16, 16), camera="c", profile="turbo").render(data)
    assert data_equivalence(before, env.reset(seed=0), exact=True)


def test_colours_that_the_world_changes_are_drawn(env: gym.Env[Any, Any], world: Any) -> None:
    observation, _ = env.reset(seed=0)
    world.model.geom_rgba[world._cube_geom_ids_list[0]] = 0.0, 1.0, 0.0, 1.0
    seen: Any = env.unwrapped._simulator._draw()
    assert not np.array_equal(seen, observation["observation"])
    assert (seen[..., 1] > seen[..., 0] + 60).any()


def test_worlds_are_those_that_ogbench_registers() -> None:
    require("ogbench", "ogbench")
    for task, (module, simulated, kind) in TASKS.items():
        spec = gym.spec(f"{task}-v0")
        assert spec.entry_point == f"ogbench.manipspace.envs.{module}:{simulated}"
        shown = {"ob_type": "pixels", "visualize_info": False, "width": 64, "height": 64}
        assert spec.kwargs == {"env_type": kind, **shown}


@pytest.mark.slow
def test_reference_frames_are_those_of_ogbench_byte_for_byte(run_python: Any, tmp_path: Path) -> None:
    run_python(UPSTREAM, tmp_path / "frames.npy", MUJOCO_GL=gl_backend())
    simulator = Simulator("visual-scene", (64, 64), "reference")
    frame, goal = simulator.begin(OGBenchContext("visual-scene", 2), 7)
    moved, _ = simulator.move(np.full(5, 0.5))
    assert np.array_equal([frame, goal, goal, moved], np.load(tmp_path / "frames.npy"))
    simulator.close()


@pytest.mark.slow
@pytest.mark.parametrize("task", ["visual-cube-double", "visual-scene", "visual-puzzle-3x3"])
def test_other_worlds_at_other_sizes_with_a_goal_of_ones_own(task: str) -> None:
    with gym.make(ID, task=task, goal=4, render_profile="turbo", image_size=(24, 32)) as env:
        steps = episode(env, seed=0)
        assert len(steps) == 9 and steps[0][1]["context"] == {"task": task, "goal": 4}
        assert steps[-1][0]["desired_goal"].shape == (24, 32, 3)
        env.unwrapped.close()
        assert data_equivalence(steps, episode(env, seed=0), exact=True)


# --- with Stable-Baselines3 ---


def test_stable_baselines3_vectors_seed_and_restart_it(
    env: gym.Env[Any, Any], twin: gym.Env[Any, Any]
) -> None:
    venv = DummyVecEnv([lambda: env, lambda: twin])
    venv.seed(20)
    first = venv.reset()
    assert isinstance(first, dict) and first["observation"].shape == (2, 64, 64, 3)
    assert not np.array_equal(first["observation"][0], first["observation"][1])
    for _ in range(9):
        seen, _, dones, infos = venv.step(np.zeros((2, 5), np.float32))
    assert dones.all() and "observation" in infos[0]["terminal_observation"]
    assert isinstance(seen, dict) and not np.array_equal(seen["desired_goal"], first["desired_goal"])
    venv.seed(20)
    again = venv.reset()
    assert isinstance(again, dict) and data_equivalence(first, again, exact=True)


def test_an_import_of_the_environments_does_not_import_ogbench(run_python: Any) -> None:
    run_python(
        "import sys, gymnasium, latentctx_envs\n"
        f"env = gymnasium.make('{ID}', disable_env_checker=True)\n"
        "assert not {'ogbench', 'torch', 'dm_control'} & set(sys.modules)"
    )


def test_a_process_that_drew_another_world_first_ends_quietly(run_python: Any) -> None:
    done = run_python(
        "import gymnasium, numpy as np, latentctx_envs\n"
        "other = gymnasium.make('LatentCtx-PointMass-v0', observation='pixels', image_size=32)\n"
        "before, _ = other.reset(seed=0)\n"
        f"gymnasium.make('{ID}', render_profile='turbo').reset(seed=0)\n"
        "assert np.array_equal(before, other.reset(seed=0)[0])"
    )
    assert not done.stderr
