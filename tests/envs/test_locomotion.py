"""Cheetah and walker: dm_control's physics, observations, rewards and starts, bit for bit; contexts and refusals."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from latentctx_envs.locomotion.context import CheetahContext, WalkerContext

SUITE = {
    "LatentCtx-CheetahRun-v0": ("cheetah", "run", len(CheetahContext.tasks)),
    "LatentCtx-WalkerStand-v0": ("walker", "stand", len(WalkerContext.tasks)),
    "LatentCtx-WalkerWalk-v0": ("walker", "walk", len(WalkerContext.tasks)),
    "LatentCtx-WalkerRun-v0": ("walker", "run", len(WalkerContext.tasks)),
}
STEPS = 1000
SEED = 7

DM_CONTROL = """
import sys
import numpy as np
from dm_control import suite
domain, name, tasks, seed, actions = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), np.load(sys.argv[5])
env = suite.load(domain, name)
rng = np.random.default_rng(seed)
rng.integers(tasks)  # ours draws the context before the start
env.task._random = rng
flat = lambda step: np.concatenate([np.ravel(value) for value in step.observation.values()])
first = env.reset()
observations, rewards, states = [flat(first)], [], [env.physics.get_state()]
for action in actions:
    step = env.step(action)
    observations.append(flat(step)); rewards.append(step.reward); states.append(env.physics.get_state())
np.savez(sys.argv[6], observations=observations, rewards=rewards, states=states)
"""


@pytest.fixture(scope="module")
def actions() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (STEPS, 6)).astype(np.float32)


@pytest.mark.parametrize("env_id", SUITE)
def test_world_equals_dm_controls_over_1000_random_steps(
    env_id: str, actions: np.ndarray, tmp_path: Path, run_python: Any
) -> None:
    np.save(tmp_path / "actions.npy", actions.astype(np.float64))
    domain, name, tasks = SUITE[env_id]
    files = (tmp_path / "actions.npy", tmp_path / "peer.npz")
    run_python(DM_CONTROL, domain, name, tasks, SEED, *files, MUJOCO_GL="egl")
    peer = np.load(tmp_path / "peer.npz")
    env = gym.make(env_id)
    base: Any = env.unwrapped
    observations, rewards = [env.reset(seed=SEED)[0]], []
    states = [base.physics_state()]
    for action in actions:
        observation, reward, *_ = env.step(action)
        observations.append(observation)
        rewards.append(reward)
        states.append(base.physics_state())
    assert np.array_equal(
        np.array(states)[:, 1:19], peer["states"]
    )  # ours has the time before, the warm start after
    assert np.array_equal(rewards, peer["rewards"])
    assert np.array_equal(observations, peer["observations"].astype(np.float32))


@pytest.mark.parametrize("env_id", SUITE)
def test_position_is_state_without_velocities(env_id: str) -> None:
    with gym.make(env_id) as one, gym.make(env_id, observation="position") as two:
        state, position = one.reset(seed=1)[0], two.reset(seed=1)[0]
    assert len(state) - len(position) == 9
    assert np.array_equal(state[: len(position)], position)


@pytest.mark.parametrize("env_id", SUITE)
def test_episode_is_truncated_after_1000_steps_and_rewards_lie_in_the_unit_interval(env_id: str) -> None:
    env = gym.make_vec(env_id, num_envs=2)
    env.reset(seed=0)
    env.action_space.seed(0)
    rewards, truncated = [], np.zeros(2, bool)
    for _ in range(STEPS):
        assert not truncated.any()
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert not terminated.any()
        rewards.append(reward)
    env.close()
    assert truncated.all()
    assert 0.0 <= np.min(rewards) <= np.max(rewards) <= 1.0


def test_each_env_id_has_its_own_task_in_the_context() -> None:
    tasks = {}
    for env_id in SUITE:
        with gym.make(env_id) as env:
            tasks[env_id] = env.reset(seed=0)[1]["context"]["task"]
    assert tasks == {env_id: name for env_id, (_, name, _) in SUITE.items()}


def test_task_can_be_pinned_and_earns_its_own_reward() -> None:
    env = gym.make_vec("LatentCtx-WalkerStand-v0", num_envs=3, task=None)
    env.reset(seed=0, options={"context": [{"task": name} for name in WalkerContext.tasks]})
    _, mixed, *_ = env.step(np.zeros((3, 6)))
    env.close()
    for index, name in enumerate(WalkerContext.tasks):
        with gym.make("LatentCtx-WalkerStand-v0", task=name) as single:
            single.reset(seed=index)
        with gym.make("LatentCtx-WalkerStand-v0", task=None) as single:
            single.reset(seed=index, options={"context": {"task": name}})
            assert single.step(np.zeros(6))[1] == mixed[index]
    assert len(set(mixed)) == 3


def test_unknown_task_is_refused(refuses: Any) -> None:
    with refuses("run", "fly"):
        gym.make("LatentCtx-CheetahRun-v0", task="fly")
    with gym.make("LatentCtx-WalkerWalk-v0") as env, refuses("walk", "swim"):
        env.reset(options={"context": {"task": "swim"}})
