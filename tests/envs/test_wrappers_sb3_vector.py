"""to_sb3: a vector environment as SB3's VecEnv, equal to DummyVecEnv over the same single environments."""

import subprocess
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor

from latentctx_envs.wrappers import VectorEncodeObservation
from latentctx_envs.wrappers.sb3 import VecEncodeObservation, to_sb3

ID = "LatentCtx-PointMass-v0"
SHORT: dict[str, Any] = {"max_episode_steps": 4, "terminate_on_success": True}
PIXELS: dict[str, Any] = {**SHORT, "observation": "pixels", "image_size": 32, "render_profile": "turbo"}
DICT: dict[str, Any] = {**PIXELS, "observation": ("pixels", "state")}
PPO_SMALL: dict[str, Any] = {"n_steps": 32, "batch_size": 32, "n_epochs": 1, "device": "cpu", "seed": 0}
N = 3


def native(num_envs: int = N, **kwargs: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
    return gym.make_vec(ID, num_envs=num_envs, autoreset_mode="SameStep", **kwargs)


def sync(num_envs: int = N, **kwargs: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
    return SyncVectorEnv([lambda: gym.make(ID, **kwargs)] * num_envs, autoreset_mode="SameStep")


def dummy(**kwargs: Any) -> DummyVecEnv:
    return DummyVecEnv([lambda: gym.make(ID, **kwargs)] * N)


def assert_equal(one: Any, other: Any) -> None:
    """Equal values, types and keys, whatever they are nested in."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert type(one) is type(other) and len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        assert type(one) is type(other)
        np.testing.assert_array_equal(one, other)
        assert getattr(one, "dtype", None) == getattr(other, "dtype", None)


@pytest.mark.parametrize("make", [native, sync])
def test_what_vector_wrappers_say_of_an_episode_stays_with_it(make: Callable[..., Any]) -> None:
    venv = to_sb3(RecordEpisodeStatistics(make(**SHORT)))
    venv.seed(0)
    venv.reset()
    for _ in range(4):
        _, _, dones, infos = venv.step(np.zeros((N, 2), np.float32))
    assert dones.all()
    for info, reset in zip(infos, venv.reset_infos, strict=True):
        assert info["episode"]["l"] == 4 and "episode" not in reset
        assert "context" in info and "context" in reset


def test_the_advice_on_autoreset_can_be_followed() -> None:
    with pytest.raises(ValueError, match="Make it with autoreset_mode='SameStep'"):
        to_sb3(gym.make_vec(ID, num_envs=2))
    settings: dict[str, Any] = {"num_envs": 2, "task": "reach-v3"}
    with pytest.raises(ValueError, match="vector_kwargs="):
        to_sb3(gym.make_vec("LatentCtx-MetaWorld-v0", **settings))
    same = {"autoreset_mode": AutoresetMode.SAME_STEP}
    assert to_sb3(gym.make_vec("LatentCtx-MetaWorld-v0", vector_kwargs=same, **settings)).num_envs == 2


@pytest.mark.parametrize("kwargs", [SHORT, PIXELS, DICT], ids=["state", "pixels", "dict"])
@pytest.mark.parametrize("make", [native, sync])
def test_it_equals_sb3s_own_over_single_environments(
    make: Callable[..., Any], kwargs: dict[str, Any]
) -> None:
    ours, theirs = to_sb3(make(**kwargs)), dummy(**kwargs)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.seed(3) == theirs.seed(3)
    assert_equal(ours.reset(), dict(first) if isinstance(first := theirs.reset(), dict) else first)
    assert_equal(ours.reset_infos, theirs.reset_infos)
    actions = np.random.default_rng(0).uniform(-1, 1, (10, N, 2)).astype(np.float32)
    ends = 0
    for action in actions:
        got, expected = ours.step(action), theirs.step(action)
        assert_equal(got, (dict(o) if isinstance(o := expected[0], dict) else o, *expected[1:]))
        assert_equal(ours.reset_infos, theirs.reset_infos)
        ends += int(got[2].sum())
    assert ends >= 2 * N
    ours.close()


def starts_at_its_goal(env: VecEnv, seed: int) -> None:
    """Let the second environment's next episode start at its goal, the others far from theirs."""
    env.seed(seed)
    (x, y) = (float(value) for value in env.reset()[1][:2])
    far = {"goal": (0.29, 0.29)}
    env.seed(seed)
    env.set_options({"context": [far, {"goal": (x, y)}, far]})
    env.reset()


def test_success_is_is_success_and_an_end_by_success_is_no_truncation() -> None:
    env = to_sb3(native(**SHORT))
    starts_at_its_goal(env, 0)
    _, _, dones, infos = env.step(np.zeros((N, 2), np.float32))
    assert dones.tolist() == [False, True, False]
    assert [info["is_success"] for info in infos] == [False, True, False]
    assert [info["TimeLimit.truncated"] for info in infos] == [False, False, False]
    assert ["terminal_observation" in info for info in infos] == [False, True, False]


def test_infos_of_an_end_are_the_ended_episodes_and_reset_infos_the_next_ones() -> None:
    env = to_sb3(native(max_episode_steps=2))
    env.seed(0)
    env.reset()
    first = [info["context"] for info in env.reset_infos]
    for _ in range(2):
        infos = env.step(np.zeros((N, 2), np.float32))[3]
    assert [info["context"] for info in infos] == first
    assert all(info["TimeLimit.truncated"] for info in infos)
    assert all(a["context"] != b for a, b in zip(env.reset_infos, first, strict=True))


def test_seeds_are_used_once() -> None:
    env = to_sb3(native())
    env.seed(0)
    first, second = env.reset(), env.reset()
    assert (first != second).any()
    env.seed(0)
    np.testing.assert_array_equal(env.reset(), first)


def test_what_a_step_returned_is_not_changed_by_the_next() -> None:
    env = to_sb3(native(**SHORT))
    env.reset()
    kept = [env.step(np.full((N, 2), 0.5, np.float32)) for _ in range(6)]
    arrays = [array for step in kept for array in step[:3]]
    dicts = [info for step in kept for info in step[3]]
    assert len({id(value) for value in dicts}) == len(dicts)
    assert len({id(info["context"]) for info in dicts}) == len(dicts)
    for index, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[index + 1 :])


def test_vec_monitor_counts_episodes() -> None:
    env = VecMonitor(to_sb3(native(max_episode_steps=5)), info_keywords=("is_success",))
    env.seed(0)
    env.reset()
    rewards = np.zeros(N)
    for _ in range(5):
        _, reward, _, infos = env.step(np.ones((N, 2), np.float32))
        rewards += reward
    assert [info["episode"]["l"] for info in infos] == [5] * N
    np.testing.assert_allclose([info["episode"]["r"] for info in infos], rewards, atol=1e-5)
    assert [info["episode"]["is_success"] for info in infos] == [info["is_success"] for info in infos]


def test_ppo_learns_through_it_as_through_sb3s_own() -> None:
    weights = []
    for env in (to_sb3(native(max_episode_steps=20)), dummy(max_episode_steps=20)):
        model = PPO("MlpPolicy", env, **PPO_SMALL)
        model.learn(2 * 32 * N)
        weights.append(model.get_parameters()["policy"])
    for name, tensor in weights[0].items():
        np.testing.assert_array_equal(tensor.numpy(), weights[1][name].numpy())


@pytest.mark.filterwarnings("ignore:Evaluation environment is not wrapped:UserWarning")
def test_evaluate_policy_plays_its_episodes() -> None:
    model = PPO("MlpPolicy", to_sb3(native()), **PPO_SMALL)
    returns, lengths = evaluate_policy(
        model, to_sb3(native(max_episode_steps=5)), n_eval_episodes=4, return_episode_rewards=True
    )
    assert lengths == [5] * 4 and len(returns) == 4


def test_encoding_before_and_after_are_alike(tiny_encoder: Any) -> None:
    before = to_sb3(VectorEncodeObservation(native(**PIXELS), tiny_encoder))
    after = VecEncodeObservation(to_sb3(native(**PIXELS)), tiny_encoder)
    for env in (before, after):
        env.seed(0)
    np.testing.assert_array_equal(before.reset(), after.reset())
    for _ in range(4):
        one, other = (env.step(np.ones((N, 2), np.float32)) for env in (before, after))
        np.testing.assert_array_equal(one[0], other[0])
    for a, b in zip(one[3], other[3], strict=True):
        np.testing.assert_array_equal(a["terminal_observation"], b["terminal_observation"])


@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
def test_other_autoreset_modes_are_refused(mode: str, refuses: Callable[..., Any]) -> None:
    with refuses(f"autoreset mode is {mode}", "autoreset_mode='SameStep'"):
        to_sb3(gym.make_vec(ID, num_envs=N, autoreset_mode=mode))


def test_single_environments_are_refused(refuses: Callable[..., Any]) -> None:
    with refuses("takes a Gymnasium vector environment", "TimeLimit"):
        to_sb3(gym.make(ID))  # type: ignore[arg-type]


def test_attributes_are_read_from_single_environments_where_there_are_some() -> None:
    ours, singles = to_sb3(native()), to_sb3(sync())
    assert ours.get_attr("num_envs", indices=[0, 1]) == [N, N]
    assert ours.has_attr("settings") and not ours.has_attr("no_such_thing")
    assert [spec.id for spec in singles.get_attr("spec", indices=1)] == [ID]
    assert ours.env_is_wrapped(gym.Wrapper) == [False] * N


def test_methods_and_attributes_of_all_single_environments_are_reached() -> None:
    env = to_sb3(sync())
    env.set_attr("mark", 7)
    assert env.get_attr("mark") == [7] * N
    env.reset()
    states = env.env_method("physics_state")
    assert len(states) == N


def test_methods_of_single_environments_are_refused_where_there_are_none(refuses: Callable[..., Any]) -> None:
    with refuses("env_method('physics_state')", "make_vec_env", error=NotImplementedError):
        to_sb3(native()).env_method("physics_state")
    with refuses("set_attr('mark')", "steps all environments at once", error=NotImplementedError):
        to_sb3(native()).set_attr("mark", 1)
    with refuses("for all environments only", error=NotImplementedError):
        to_sb3(sync()).env_method("physics_state", indices=[0])


def test_different_options_for_each_environment_are_refused(refuses: Callable[..., Any]) -> None:
    env = to_sb3(native())
    env.set_options([{"context": {"goal": (0.1, 0.1)}}, {}, {}])
    with refuses("one dict of options for all", "'context': [c0, c1, ...]"):
        env.reset()


def test_images_are_none_where_nothing_is_rendered() -> None:
    assert list(to_sb3(native()).get_images()) == [None] * N


def test_rendered_images_are_those_of_the_single_environments() -> None:
    env = to_sb3(sync(2, render_mode="rgb_array"))
    env.reset()
    images = list(env.get_images())
    assert len(images) == 2 and all(image is not None and image.dtype == np.uint8 for image in images)
    env.close()


def test_the_wrappers_do_not_need_stable_baselines3(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    run_python("import sys, latentctx_envs.wrappers; assert 'stable_baselines3' not in sys.modules")
