"""Cheetah and walker: dm_control's physics, observations, rewards and starts, bit for bit; contexts and refusals."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from latentctx_envs.locomotion.context import CheetahContext, CheetahTarget, WalkerContext, WalkerTarget

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
    names = WalkerContext.tasks
    env = gym.make_vec("LatentCtx-Walker-v0", num_envs=len(names))
    env.reset(seed=0, options={"context": [{"task": name} for name in names]})
    _, mixed, *_ = env.step(np.zeros((len(names), 6)))
    env.close()
    for index, name in enumerate(names):
        with gym.make("LatentCtx-Walker-v0") as single:
            single.reset(seed=index, options={"context": {"task": name}})
            assert single.step(np.zeros(6))[1] == mixed[index]
    assert len(set(mixed)) > len(names) // 2


def quantities(env: Any) -> dict[str, float]:
    """What the formulas below read, by name, from the physics itself."""
    data = env.unwrapped._data
    torso = data.body("torso")
    return {
        "rootx": float(data.joint("rootx").qvel[0]),
        "rooty": float(data.joint("rooty").qvel[0]),
        "speed": float(data.sensor("torso_subtreelinvel").data[0]),
        "momentum": float(torso.subtree_angmom[1]),
        "height": float(torso.xpos[2]),
        "upright": float(torso.xmat[8]),
    }


def clip01(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def stand(q: dict[str, float]) -> float:
    high = 1.0 if q["height"] >= 1.2 else np.exp(np.log(0.1) * ((1.2 - q["height"]) / 0.6) ** 2)
    return (3 * high + (1 + q["upright"]) / 2) / 4


FORMULAS: dict[str, Any] = {
    "LatentCtx-CheetahRunBackward-v0": lambda q: clip01(-q["rootx"] / 10),
    "LatentCtx-CheetahFlip-v0": lambda q: clip01(q["rooty"] / 5),
    "LatentCtx-CheetahFlipBackward-v0": lambda q: clip01(-q["rooty"] / 5),
    "LatentCtx-WalkerFlip-v0": lambda q: clip01(q["rooty"] / 5),
    "LatentCtx-WalkerFlipBackward-v0": lambda q: clip01(-q["rooty"] / 5),
    "LatentCtx-WalkerJump-v0": lambda q: clip01(q["height"] / 5),
    "LatentCtx-WalkerWalkBackward-v0": lambda q: stand(q) * (5 * clip01(-q["rootx"]) + 1) / 6,
    "LatentCtx-WalkerRunBackward-v0": lambda q: stand(q) * (5 * clip01(-q["rootx"] / 8) + 1) / 6,
}


@pytest.mark.parametrize("env_id", FORMULAS)
def test_tasks_beyond_dm_control_earn_what_their_formula_says(env_id: str, actions: np.ndarray) -> None:
    with gym.make(env_id) as env:
        env.reset(seed=3)
        rewards = []
        for action in actions[:200]:
            reward = env.step(action)[1]
            assert reward == pytest.approx(FORMULAS[env_id](quantities(env)), abs=1e-12)
            rewards.append(reward)
    assert np.std(rewards) > 0


@pytest.mark.parametrize("domain", ["Cheetah", "Walker"])
def test_flips_by_angular_momentum(domain: str, actions: np.ndarray) -> None:
    with gym.make(f"LatentCtx-{domain}Flip-v0", flip_signal="angular_momentum") as env:
        env.reset(seed=3)
        for action in actions[:100]:
            reward = env.step(action)[1]
            assert reward == pytest.approx(clip01(quantities(env)["momentum"] / 5), abs=1e-12)


def test_last_substep_counts_once_for_tasks_that_dm_control_does_not_have(actions: np.ndarray) -> None:
    last, plain = {"reward_mode": "last_substep", "action_repeat": 2}, {"action_repeat": 1}
    for env_id, halved in (("LatentCtx-CheetahFlip-v0", True), ("LatentCtx-CheetahRun-v0", False)):
        with gym.make(env_id, **last) as paper, gym.make(env_id, **plain) as each:
            paper.reset(seed=0)
            each.reset(seed=0)
            for action in actions[:50]:
                first, second = each.step(action)[1], each.step(action)[1]
                assert paper.step(action)[1] == (second if halved else first + second)


def test_last_substep_vector_equals_single_environments(actions: np.ndarray) -> None:
    settings = {"reward_mode": "last_substep", "action_repeat": 3}
    env = gym.make_vec("LatentCtx-Cheetah-v0", num_envs=4, **settings)
    env.reset(seed=0, options={"context": [{"task": name} for name in CheetahContext.tasks]})
    together = [env.step(np.tile(action, (4, 1)))[1] for action in actions[:30]]
    env.close()
    for index, name in enumerate(CheetahContext.tasks):
        with gym.make("LatentCtx-Cheetah-v0", **settings) as single:
            single.reset(seed=index, options={"context": {"task": name}})
            assert [single.step(action)[1] for action in actions[:30]] == [row[index] for row in together]


@pytest.mark.parametrize(
    ("domain", "context", "limit"),
    [("Cheetah", CheetahTarget, 10.0), ("Walker", WalkerTarget, 8.0)],
)
def test_hidden_target_speed_and_spin_are_tracked(
    domain: str, context: Any, limit: float, actions: np.ndarray
) -> None:
    with gym.make(f"LatentCtx-{domain}-v0", context_kind="speed") as env:
        for motion, target in (("move", -0.3 * limit), ("spin", 2.5)):
            _, info = env.reset(seed=1, options={"context": {"motion": motion, "target": target}})
            assert info["context"] == {"motion": motion, "target": target}
            for action in actions[:50]:
                reward, q = env.step(action)[1], quantities(env)
                if motion == "spin":
                    expected = max(1 - abs(q["rooty"] - target) / 5, 0)
                else:
                    expected = max(1 - abs(q["speed"] - target) / limit, 0)
                    expected = expected if domain == "Cheetah" else stand(q) * (5 * expected + 1) / 6
                assert reward == pytest.approx(expected, abs=1e-6)  # the context array is float32
    assert context.space().contains(context(motion="spin", target=-5).as_array())


def test_splits_of_targets_are_disjoint_and_cover_the_range() -> None:
    rng = np.random.default_rng(0)
    tenths: dict[str, set[int]] = {}
    for split in ("train", "test"):
        drawn = [CheetahTarget.sample(rng, split) for _ in range(400)]
        tenths[split] = {int(np.floor((c.as_array()[1] + 1) * 5)) for c in drawn}
        assert {c.motion for c in drawn} == {"move", "spin"}
    assert tenths == {"train": {0, 2, 4, 6, 8}, "test": {1, 3, 5, 7, 9}}


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"context_kind": "goal"}, ("task, speed", "goal")),
        ({"flip_signal": "yaw"}, ("rooty_rate, angular_momentum", "yaw")),
        ({"reward_mode": "mean"}, ("sum, last_substep", "mean")),
        ({"context_kind": "speed", "task": "run"}, ("task=None",)),
    ],
)
def test_impossible_arguments_are_refused(
    kwargs: dict[str, Any], words: tuple[str, ...], refuses: Any
) -> None:
    with refuses(*words):
        gym.make("LatentCtx-Cheetah-v0", **kwargs)


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ({"motion": "swim", "target": 0}, ("move, spin", "swim")),
        ({"motion": "move", "target": 11}, ("[-10, 10]", "11")),
        ({"motion": "spin", "target": float("nan")}, ("[-5, 5]", "nan")),
        ({"motion": "spin", "target": "fast"}, ("[-5, 5]", "fast")),
    ],
)
def test_impossible_targets_are_refused(
    context: dict[str, Any], words: tuple[str, ...], refuses: Any
) -> None:
    with gym.make("LatentCtx-Cheetah-v0", context_kind="speed") as env, refuses(*words):
        env.reset(options={"context": context})


def test_unknown_task_is_refused(refuses: Any) -> None:
    with refuses("run", "fly"):
        gym.make("LatentCtx-CheetahRun-v0", task="fly")
    with gym.make("LatentCtx-WalkerWalk-v0") as env, refuses("walk", "swim"):
        env.reset(options={"context": {"task": "swim"}})
