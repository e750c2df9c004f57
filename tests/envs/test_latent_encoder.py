"""A filter as an encoder: every wrapper follows each environment's observations and actions, and begins anew with an episode."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from latentctx_envs.encoders import load_encoder
from latentctx_envs.encoders.latent.config import QUICK, RSSMO
from latentctx_envs.encoders.latent.encoder import LatentEncoder, LatentEncoderConfig
from latentctx_envs.encoders.latent.rssm import State
from latentctx_envs.encoders.latent.sensors import Sensors
from latentctx_envs.wrappers import EncodeObservation, VectorEncodeObservation
from latentctx_envs.wrappers.sb3 import VecEncodeObservation, to_sb3

ID = "LatentCtx-WalkerWalk-v0"
N, STEPS = 3, 4
SEEN: dict[str, Any] = {"observation": "position", "max_episode_steps": STEPS}
SMALL = {"deter": 12, "stoch": 4, "hidden": (8, 8)}


def encoder_of(observed: Any = "position", base: Any = QUICK, **kwargs: Any) -> LatentEncoder:
    from dataclasses import replace

    torch.manual_seed(0)
    config = LatentEncoderConfig(
        family="walker", observed=observed, action_dim=6, model=replace(base, **SMALL), **kwargs
    )
    return LatentEncoder(config).eval()


def followed(
    encoder: LatentEncoder, observations: list[np.ndarray], actions: list[np.ndarray]
) -> list[np.ndarray]:
    """Features of one episode, computed by hand: one action fewer than observations."""
    with torch.no_grad():
        state: State = encoder.rssm.initial(1)
        found = []
        for seen, action in zip(observations, [np.zeros(6, np.float32), *actions], strict=True):
            clipped = torch.from_numpy(np.clip(action, -1, 1).astype(np.float32))[None]
            state = encoder.follow(state, torch.from_numpy(np.asarray(seen))[None], clipped)
            found.append(state.features[0].numpy())
    return found


def drawn(seed: int = 0, count: int = 2 * STEPS) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).uniform(-1.5, 1.5, (count, 6)).astype(np.float32))


@pytest.mark.parametrize("base", [QUICK, RSSMO], ids=["rssm", "rssmo"])
@pytest.mark.filterwarnings("ignore:.*is not within the action space:UserWarning")
def test_features_follow_what_is_seen_and_done_clipped_and_begin_anew(base: Any) -> None:
    encoder = encoder_of(base=base)
    raw, env = gym.make(ID, **SEEN).unwrapped, EncodeObservation(gym.make(ID, **SEEN).unwrapped, encoder)
    for seed in (0, 1):
        actions = drawn(seed, 3)
        observations = [raw.reset(seed=seed)[0], *(raw.step(np.clip(a, -1, 1))[0] for a in actions)]
        features = [env.reset(seed=seed)[0], *(env.step(a)[0] for a in actions)]
        np.testing.assert_allclose(features, followed(encoder, observations, actions), atol=1e-5)
    assert env.observation_space == spaces.Box(-np.inf, np.inf, (16,), np.float32)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_both_checkers_accept_it() -> None:
    check_env(EncodeObservation(gym.make(ID, **SEEN).unwrapped, encoder_of()), skip_render_check=True)
    check_env_sb3(EncodeObservation(gym.make(ID, **SEEN), encoder_of()), warn=False)


def singles(encoder: LatentEncoder, actions: list[np.ndarray]) -> list[np.ndarray]:
    """Features of N single environments along one episode, (steps + 1, N, D)."""
    envs = [EncodeObservation(gym.make(ID, **SEEN), encoder) for _ in range(N)]
    found = [[env.reset(seed=7 + i)[0] for i, env in enumerate(envs)]]
    found += [[env.step(action)[0] for env in envs] for action in actions]
    return [np.stack(row) for row in found]


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.filterwarnings("ignore:.*is not within the action space:UserWarning")
def test_a_vector_follows_each_environment_through_the_end_of_its_episode(mode: str) -> None:
    encoder = encoder_of()
    actions = [np.clip(a, -1, 1) for a in drawn()]
    env = VectorEncodeObservation(gym.make_vec(ID, num_envs=N, autoreset_mode=mode, **SEEN), encoder)
    raw = gym.make_vec(ID, num_envs=N, autoreset_mode=mode, **SEEN)
    expected = singles(encoder, actions[:STEPS])
    found, info = [env.reset(seed=7)[0]], {}
    raw_seen = [raw.reset(seed=7)[0]]
    for action in actions[:STEPS]:
        features, _, _, _, info = env.step(np.tile(action, (N, 1)))
        found.append(features)
        raw_seen.append(raw.step(np.tile(action, (N, 1)))[0])
    if mode == "SameStep":
        found[-1], begun = np.stack(list(info["final_obs"])), found[-1]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    later = actions[STEPS : STEPS + 2]
    seen, features = [raw_seen[-1]] if mode == "SameStep" else [], [begun] if mode == "SameStep" else []
    for action in later:  # in "NextStep" the first of them is not played
        features.append(env.step(np.tile(action, (N, 1)))[0])
        seen.append(raw.step(np.tile(action, (N, 1)))[0])
    played = later if mode == "SameStep" else later[1:]
    for index in range(N):
        by_hand = followed(encoder, [row[index] for row in seen], played)
        np.testing.assert_allclose([row[index] for row in features], by_hand, atol=1e-5)


def test_a_masked_reset_begins_anew_where_it_is_asked_to_and_leaves_the_others() -> None:
    encoder = encoder_of()
    env = VectorEncodeObservation(gym.make_vec(ID, num_envs=N, autoreset_mode="Disabled", **SEEN), encoder)
    env.reset(seed=7)
    before, *_ = env.step(np.zeros((N, 6), np.float32))
    mask = np.array([False, True, False])
    after, _ = env.reset(seed=[None, 3, None], options={"reset_mask": mask})
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    with EncodeObservation(gym.make(ID, **SEEN), encoder) as single:
        np.testing.assert_allclose(after[1], single.reset(seed=3)[0], atol=1e-5)


def test_the_sb3_twin_follows_too_and_an_agent_learns_on_it() -> None:
    encoder = encoder_of()
    venv = VecEncodeObservation(
        to_sb3(gym.make_vec(ID, num_envs=N, autoreset_mode="SameStep", **SEEN)), encoder
    )
    venv.seed(7)
    actions = [np.clip(a, -1, 1) for a in drawn()]
    expected = singles(encoder, actions[:STEPS])
    found = [venv.reset()]
    for action in actions[:STEPS]:
        features, _, done, infos = venv.step(np.tile(action, (N, 1)))
        found.append(features)
    assert done.all()
    found[-1] = np.stack([info["terminal_observation"] for info in infos])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    PPO("MlpPolicy", venv, n_steps=8, batch_size=8, n_epochs=1, device="cpu").learn(N * 8)


def test_a_dict_keeps_its_other_parts_and_names_the_features() -> None:
    both = {**SEEN, "observation": ("position", "state")}
    with EncodeObservation(gym.make(ID, **both), encoder_of()) as env:
        observation, _ = env.reset(seed=0)
    assert {name: part.shape for name, part in observation.items()} == {"features": (16,), "state": (24,)}


def test_a_filter_of_pixels_follows_frames() -> None:
    encoder = encoder_of("pixels")
    env = gym.make(ID, observation="pixels", image_size=64, render_profile="turbo")
    with EncodeObservation(env, encoder) as encoded:
        first, _ = encoded.reset(seed=0)
        second, *_ = encoded.step(np.ones(6, np.float32))
    assert first.shape == second.shape == (16,) and np.abs(first - second).max() > 0


def test_a_saved_filter_comes_back_and_the_wrapped_environment_serialises(tmp_path: Path) -> None:
    encoder = encoder_of(base=RSSMO)
    encoder.save_pretrained(tmp_path / "walker")
    assert load_encoder(tmp_path / "walker").content_hash() == encoder.content_hash()
    env = EncodeObservation(gym.make(ID, **SEEN), str(tmp_path / "walker"))
    assert env.spec is not None
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    np.testing.assert_array_equal(env.reset(seed=0)[0], again.reset(seed=0)[0])


def test_what_it_does_not_take_is_refused(refuses: Any) -> None:
    with refuses("vectors of 15 numbers of the walker", "observation='position'"):
        EncodeObservation(gym.make(ID), encoder_of())
    with refuses("follows actions of 6 numbers"):
        EncodeObservation(_OtherActions(gym.make(ID, **SEEN)), encoder_of())
    with refuses("know the sensors of"):
        LatentEncoderConfig(family="hopper", observed="state", action_dim=6)


@pytest.mark.filterwarnings("ignore:.*precision lowered by casting:UserWarning")
def test_it_is_told_the_actions_that_are_executed_or_refused(refuses: Any) -> None:
    changed = gym.wrappers.RescaleAction(gym.make(ID, **SEEN), np.float32(0.0), np.float32(1.0))
    with refuses("put wrappers that change them around"):
        EncodeObservation(changed, encoder_of())
    vector = gym.wrappers.vector.RescaleAction(
        gym.make_vec(ID, num_envs=2, vectorization_mode="sync", **SEEN), 0.0, 1.0
    )
    with refuses("put wrappers that change them around"):
        VectorEncodeObservation(vector, encoder_of())


def test_an_environment_inside_that_resets_itself_begins_anew() -> None:
    encoder = encoder_of()
    inside = EncodeObservation(
        gym.wrappers.Autoreset(gym.make(ID, **{**SEEN, "max_episode_steps": 3})), encoder
    )
    around = gym.wrappers.Autoreset(
        EncodeObservation(gym.make(ID, **{**SEEN, "max_episode_steps": 3}), encoder)
    )
    np.testing.assert_array_equal(inside.reset(seed=0)[0], around.reset(seed=0)[0])
    for action in np.clip(drawn(0, 9), -1, 1):
        np.testing.assert_array_equal(inside.step(action)[0], around.step(action)[0])


class _OtherActions(gym.ActionWrapper):
    """Two numbers instead of six."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)

    def action(self, action: Any) -> Any:
        """Never called."""
        return np.zeros(6, np.float32)


def test_sensors_follow_the_world_and_not_the_name_of_a_dataset(refuses):
    assert Sensors.of_world("LatentCtx-WalkerRun-v0", "state").family == "walker"
    assert Sensors.of_world("LatentCtx-PointMassRooms-v0", "position").family == "point-mass"
    with refuses("walker, cheetah, point-mass", "of 'kitchen' the length of the state is needed"):
        Sensors.of_world("LatentCtx-Kitchen-v0", "state")
    assert Sensors.of_world("Hopper-v5", "state", 11).decoded == {"state": (0, 11)}
