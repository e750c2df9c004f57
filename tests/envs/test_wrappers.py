"""EncodeObservation and its vector twin: spaces, values, terminal observations, a hand-written agent."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from latentctx_envs.encoders import FrozenEncoder, zoo_names
from latentctx_envs.encoders.base import read_config
from latentctx_envs.encoders.registry import ZOO
from latentctx_envs.wrappers import EncodeObservation, VectorEncodeObservation

ID = "LatentCtx-PointMass-v0"
PIXELS: dict[str, Any] = {"observation": "pixels", "image_size": 32, "render_profile": "turbo"}
DICT: dict[str, Any] = {**PIXELS, "observation": ("state", "pixels"), "context": "observed"}
N = 3


@pytest.fixture
def encoded(tiny_encoder) -> Iterator[EncodeObservation]:
    with EncodeObservation(gym.make(ID, **PIXELS), tiny_encoder) as env:
        yield env


def make_vector(encoder: Any, mode: str = "NextStep", **kwargs: Any) -> VectorEncodeObservation:
    settings = {"max_episode_steps": 3, **PIXELS, **kwargs}
    return VectorEncodeObservation(gym.make_vec(ID, num_envs=N, autoreset_mode=mode, **settings), encoder)


def test_observations_are_the_features_of_the_pixels(encoded, tiny_encoder) -> None:
    frozen = FrozenEncoder(tiny_encoder)
    with gym.make(ID, **PIXELS) as raw:
        pixels = [raw.reset(seed=0)[0], raw.step([1.0, 0.0])[0]]
    features = [encoded.reset(seed=0)[0], encoded.step([1.0, 0.0])[0]]
    # the layer norm of a random net magnifies the rounding that depends on the batch size
    np.testing.assert_allclose(features, frozen.encode(np.stack(pixels)), atol=1e-4)


def test_space_holds_the_values(encoded) -> None:
    assert encoded.observation_space == spaces.Box(-1.0, 1.0, (8,), np.float32)
    assert encoded.observation_space.contains(encoded.reset(seed=0)[0])
    assert encoded.observation_space.contains(encoded.step(encoded.action_space.sample())[0])


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version:UserWarning")
def test_gymnasiums_checker_accepts_the_encoded_environment(tiny_encoder) -> None:
    check_env(EncodeObservation(gym.make(ID, **PIXELS).unwrapped, tiny_encoder), skip_render_check=True)


def test_dict_keeps_its_entries_and_turns_pixels_into_features(tiny_encoder) -> None:
    with EncodeObservation(gym.make(ID, **DICT), tiny_encoder) as env, gym.make(ID, **DICT) as raw:
        observation, plain = env.reset(seed=0)[0], raw.reset(seed=0)[0]
        assert env.observation_space.contains(observation)
    assert list(observation) == ["state", "features", "context"]
    assert np.array_equal(observation["state"], plain["state"])
    assert np.array_equal(observation["context"], plain["context"])


@pytest.mark.parametrize("kind", [str, Path])
def test_encoder_is_given_as_text_path_or_module(kind, encoded, tiny_encoder_dir: Path) -> None:
    with EncodeObservation(gym.make(ID, **PIXELS), kind(tiny_encoder_dir)) as env:
        assert np.array_equal(env.reset(seed=0)[0], encoded.reset(seed=0)[0])


def test_terminal_observation_of_an_episode_is_encoded(encoded) -> None:
    encoded.reset(seed=0)
    for _ in range(100):
        observation, _, _, truncated, _ = encoded.step([0.3, 0.3])
    assert truncated
    assert encoded.observation_space.contains(observation)


def test_random_search_of_a_linear_policy_finds_the_better_weights(encoded) -> None:
    """An agent in a dozen lines, which knows nothing but the Gymnasium interface."""

    def total(weights: np.ndarray) -> float:
        observation, _ = encoded.reset(seed=1, options={"context": {"goal": (0.1, 0.1)}})
        rewards = []
        for _ in range(20):
            observation, reward, *_ = encoded.step(np.clip(weights @ observation, -1, 1))
            rewards.append(reward)
        return float(np.sum(rewards)) - float(np.linalg.norm(encoded.unwrapped.physics_state()[1:3] - 0.1))

    rng = np.random.default_rng(0)
    best = np.zeros((2, 8))
    start = score = total(best)
    for _ in range(10):
        trial = best + rng.normal(size=best.shape)
        if (result := total(trial)) > score:
            best, score = trial, result
    assert score > start
    assert total(best) == score


@pytest.mark.parametrize("mode", [mode.value for mode in AutoresetMode])
def test_vector_twin_equals_single_wrappers(mode: str, tiny_encoder) -> None:
    twin = make_vector(tiny_encoder, mode)
    settings = {"max_episode_steps": 3, **PIXELS}
    makers = [lambda: EncodeObservation(gym.make(ID, **settings), tiny_encoder)] * N
    singles = gym.vector.SyncVectorEnv(makers, autoreset_mode=mode)
    assert twin.single_observation_space == singles.single_observation_space
    assert twin.observation_space == singles.observation_space
    np.testing.assert_allclose(twin.reset(seed=0)[0], singles.reset(seed=0)[0], atol=1e-4)
    for _ in range(3 if mode == "Disabled" else 7):
        actions = twin.action_space.sample()
        ours, theirs = twin.step(actions), singles.step(actions)
        np.testing.assert_allclose(ours[0], theirs[0], atol=1e-4)
        assert twin.observation_space.contains(ours[0])
        assert ("final_obs" in ours[4]) == ("final_obs" in theirs[4])
        if "final_obs" in ours[4]:
            np.testing.assert_allclose(
                np.stack(ours[4]["final_obs"]), np.stack(theirs[4]["final_obs"]), atol=1e-4
            )
    twin.close()
    singles.close()


@pytest.mark.parametrize("kwargs", [PIXELS, DICT], ids=["pixels", "dict"])
def test_final_observations_are_encoded_where_an_episode_ended(kwargs: dict[str, Any], tiny_encoder) -> None:
    env = make_vector(tiny_encoder, "SameStep", terminate_on_success=True, **kwargs)
    with gym.make(ID) as single:
        x, y = (float(value) for value in single.reset(seed=1)[0][:2])  # the second starts at its goal
    env.reset(seed=0, options={"context": [None, {"goal": (x, y)}, None]})
    info = env.step(np.zeros((N, 2)))[4]
    assert info["_final_obs"].tolist() == [False, True, False]
    assert [final is None for final in info["final_obs"]] == [True, False, True]
    assert env.single_observation_space.contains(info["final_obs"][1])
    env.close()


def test_vector_twin_of_a_dict_keeps_its_entries(tiny_encoder) -> None:
    env = make_vector(tiny_encoder, **DICT)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert list(observation) == ["state", "features", "context"]
    env.close()


def test_non_pixel_environments_are_refused_in_words(tiny_encoder, refuses) -> None:
    with refuses("EncodeObservation needs pixels", "observation='pixels'"):
        EncodeObservation(gym.make(ID), tiny_encoder)
    with refuses("VectorEncodeObservation needs pixels", "observation='pixels'"):
        VectorEncodeObservation(gym.make_vec(ID, num_envs=N), tiny_encoder)


def test_dicts_without_pixels_are_refused_in_words(tiny_encoder, refuses) -> None:
    with refuses("needs pixels"):
        EncodeObservation(gym.make(ID, observation=("state", "position")), tiny_encoder)


def test_frames_of_another_size_are_refused_in_words(tiny_encoder, refuses) -> None:
    with refuses("32x32", "(48, 48, 3)", "image_size=(32, 32)"):
        EncodeObservation(gym.make(ID, observation="pixels", image_size=48), tiny_encoder)
    with refuses("32x32", "(32, 40, 3)", "image_size=(32, 32)"):
        make_vector(tiny_encoder, image_size=(32, 40))


def test_what_other_environments_show_is_refused_with_what_would_help(tiny_encoder, refuses) -> None:
    env = gym.make(ID, **PIXELS)
    stacked = gym.wrappers.FrameStackObservation(env, 2)
    grey = gym.wrappers.GrayscaleObservation(env, keep_dim=True)
    for shown, told in {
        "a Dict with them as 'pixels'": stacked,
        "show colours, and stack frames around": grey,
        "those of this env end at 1": gym.wrappers.RescaleObservation(env, np.uint8(0), np.uint8(1)),
    }.items():
        with refuses(shown):
            EncodeObservation(told, tiny_encoder)
    with refuses("an encoder is an Encoder, a folder or a name; got None"):
        EncodeObservation(env, None)  # type: ignore[arg-type]
    with refuses("device='warp' cannot be used here"):
        EncodeObservation(env, tiny_encoder, device="warp")


def test_a_second_encoder_does_not_replace_the_features_of_the_first(tiny_encoder, refuses) -> None:
    env = gym.make(ID, **DICT)
    twice = gym.wrappers.TransformObservation(
        env,
        lambda seen: {**seen, "features": seen["state"]},
        spaces.Dict({**env.observation_space.spaces, "features": env.observation_space["state"]}),  # type: ignore[attr-defined]
    )
    with refuses("has 'features' already"):
        EncodeObservation(twice, tiny_encoder)


@pytest.mark.parametrize("name", zoo_names())
def test_encoders_that_ship_warn_of_worlds_that_look_or_move_otherwise(name: str) -> None:
    published = read_config(ZOO / name)["published"]
    arguments = dict(published["arguments"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EncodeObservation(gym.make(published["world"], **arguments), name).close()
    other = {"render_profile": {"fast": "turbo", "turbo": "fast"}, "action_repeat": {2: 1}}
    changed = next(key for key in other if key in arguments)
    arguments[changed] = other[changed][arguments[changed]]
    with pytest.warns(UserWarning, match=f"was trained with {changed}="):
        EncodeObservation(gym.make(published["world"], **arguments), name).close()


@pytest.mark.parametrize("vectorization", [None, "vector_entry_point", "sync"])
def test_an_encoder_warns_of_worlds_of_another_family(vectorization: str | None) -> None:
    shown = {"observation": "pixels", "image_size": 47}

    def wrap(env_id: str, profile: str) -> None:
        shown["render_profile"] = profile
        if vectorization is None:
            EncodeObservation(gym.make(env_id, **shown), "point-mass-id").close()
        else:
            env = gym.make_vec(env_id, vectorization_mode=vectorization, **shown)
            VectorEncodeObservation(env, "point-mass-id").close()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrap("LatentCtx-PointMass-v0", "fast")
    with pytest.warns(UserWarning, match="on worlds of point-mass, this environment is one of walker"):
        wrap("LatentCtx-WalkerRun-v0", "fast")
    with pytest.warns(UserWarning, match="has 'turbo'"):
        wrap("LatentCtx-PointMass-v0", "turbo")


def test_a_video_models_encoder_warns_of_longer_decisions_than_its_videos() -> None:
    shown = {"observation": "pixels", "render_profile": "turbo", "action_repeat": 4}
    with pytest.warns(UserWarning, match="was trained with action_repeat=2"):
        EncodeObservation(gym.make("LatentCtx-MetaWorldGoal-v0", **shown), "meta-world-pvdr").close()


def test_unknown_encoders_are_refused_in_words(refuses) -> None:
    with refuses("no-such-encoder"):
        EncodeObservation(gym.make(ID, **PIXELS), "no-such-encoder")
