"""The Stable-Baselines3 twins: VecEncodeObservation, EncoderExtractor, and PPO over frozen features."""

from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv

from latentctx_envs.encoders import FrozenEncoder, load_encoder
from latentctx_envs.wrappers import EncodeObservation
from latentctx_envs.wrappers.sb3 import EncoderExtractor, VecEncodeObservation

ID = "LatentCtx-PointMass-v0"
PIXELS: dict[str, Any] = {"observation": "pixels", "image_size": 32, "render_profile": "turbo"}
PPO_SMALL: dict[str, Any] = {"n_steps": 32, "batch_size": 32, "n_epochs": 1, "device": "cpu", "seed": 0}
N = 2


def make_venv(**kwargs: Any) -> DummyVecEnv:
    settings = {"max_episode_steps": 3, **PIXELS, **kwargs}
    return DummyVecEnv([lambda: gym.make(ID, **settings)] * N)


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_unchanged(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> None:
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_stable_baselines3_accepts_an_encoded_environment(tiny_encoder) -> None:
    check_env(EncodeObservation(gym.make(ID, **PIXELS), tiny_encoder), warn=False)


def test_vec_wrapper_gives_the_features_of_the_pixels(tiny_encoder) -> None:
    raw, encoded = make_venv(), VecEncodeObservation(make_venv(), tiny_encoder)
    raw.seed(0), encoded.seed(0)
    expected = FrozenEncoder(tiny_encoder).encode(raw.reset())
    np.testing.assert_allclose(encoded.reset(), expected, atol=1e-4)
    assert encoded.observation_space == spaces.Box(-1.0, 1.0, (8,), np.float32)


def test_vec_wrapper_encodes_terminal_observations(tiny_encoder) -> None:
    raw, encoded = make_venv(), VecEncodeObservation(make_venv(), tiny_encoder)
    for venv in (raw, encoded):
        venv.seed(0)
        venv.reset()
    for _ in range(3):
        plain, ours = raw.step(np.ones((N, 2))), encoded.step(np.ones((N, 2)))
    assert ours[2].all()
    for raw_info, info in zip(plain[3], ours[3], strict=True):
        expected = FrozenEncoder(tiny_encoder).encode(raw_info["terminal_observation"][None])[0]
        np.testing.assert_allclose(
            info["terminal_observation"], expected, atol=1e-4
        )  # of one frame or of many
        assert info["TimeLimit.truncated"]


def test_vec_wrapper_of_a_dict_turns_pixels_into_features(tiny_encoder) -> None:
    venv = VecEncodeObservation(make_venv(observation=("pixels", "state")), tiny_encoder)
    observation = venv.reset()
    assert set(observation) == {"features", "state"}
    for index in range(N):
        single = {key: value[index] for key, value in observation.items()}
        assert venv.observation_space.contains(single)
    for _ in range(3):
        infos = venv.step(np.ones((N, 2)))[3]
    assert venv.observation_space.contains(infos[0]["terminal_observation"])


def test_vec_wrapper_refuses_wrong_environments_in_words(tiny_encoder, refuses) -> None:
    with refuses("VecEncodeObservation needs pixels", "observation='pixels'"):
        VecEncodeObservation(make_venv(observation="state"), tiny_encoder)
    with refuses("32x32", "image_size=(32, 32)"):
        VecEncodeObservation(make_venv(image_size=40), tiny_encoder)


def test_ppo_on_an_encoded_environment_leaves_the_encoder_alone(tiny_encoder) -> None:
    before = snapshot(tiny_encoder)
    venv = VecEncodeObservation(make_venv(max_episode_steps=20), tiny_encoder)
    model = PPO("MlpPolicy", venv, **PPO_SMALL)
    actor = snapshot(model.policy)
    model.learn(256)
    assert_unchanged(tiny_encoder, before)
    assert not tiny_encoder.training
    assert any(not torch.equal(tensor, actor[name]) for name, tensor in model.policy.state_dict().items())


def test_ppo_learns_on_the_single_wrapper_from_a_directory(tiny_encoder_dir: Path, tiny_encoder) -> None:
    env = EncodeObservation(gym.make(ID, **PIXELS), tiny_encoder_dir)
    PPO("MlpPolicy", env, **PPO_SMALL).learn(128)
    assert_unchanged(env.encoder.module, snapshot(tiny_encoder))
    assert not env.encoder.module.training


def extractor_kwargs(encoder: Any, **kwargs: Any) -> dict[str, Any]:
    return {
        "features_extractor_class": EncoderExtractor,
        "features_extractor_kwargs": {"encoder": encoder, **kwargs},
    }


def test_policy_starts_with_the_pretrained_weights(tiny_encoder) -> None:
    model = PPO("MlpPolicy", make_venv(), policy_kwargs=extractor_kwargs(tiny_encoder), **PPO_SMALL)
    assert_unchanged(model.policy.features_extractor.encoder, snapshot(tiny_encoder))


def test_sac_and_its_target_networks_leave_the_encoder_alone(tiny_encoder) -> None:
    before = snapshot(tiny_encoder)
    policy_kwargs = {**extractor_kwargs(tiny_encoder), "net_arch": [8]}
    sizes = {"buffer_size": 100, "learning_starts": 10, "batch_size": 8, "tau": 0.5}
    model = SAC("MlpPolicy", make_venv(), policy_kwargs=policy_kwargs, device="cpu", seed=0, **sizes)
    model.learn(80)
    assert_unchanged(tiny_encoder, before)
    assert_unchanged(model.actor.features_extractor.encoder, before)
    for name, tensor in model.critic_target.features_extractor.encoder.state_dict().items():
        torch.testing.assert_close(tensor, before[name])


@pytest.mark.parametrize("freeze", [True, False])
def test_extractor_is_trained_by_ppo_only_if_not_frozen(tiny_encoder, freeze: bool) -> None:
    before = snapshot(tiny_encoder)
    policy_kwargs = extractor_kwargs(tiny_encoder, freeze=freeze)
    venv = make_vec_env(ID, n_envs=N, env_kwargs=PIXELS)
    model = PPO("MlpPolicy", venv, policy_kwargs=policy_kwargs, **PPO_SMALL)
    model.learn(128)
    encoder = model.policy.features_extractor.encoder
    same = all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())
    assert same is freeze
    model.policy.set_training_mode(True)
    assert encoder.training is not freeze


def test_extractor_undoes_sb3s_scaling_and_transposition(tiny_encoder) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    expected = FrozenEncoder(tiny_encoder).encode(frames)
    scaled = torch.from_numpy(frames).float() / 255.0
    for shape, batch in (((3, 32, 32), scaled.permute(0, 3, 1, 2)), ((32, 32, 3), scaled)):
        extractor = EncoderExtractor(spaces.Box(0, 255, shape, np.uint8), tiny_encoder)
        np.testing.assert_allclose(extractor(batch).numpy(), expected, atol=1e-5)
        assert extractor.features_dim == 8


@pytest.mark.parametrize("shape", [(3, 40, 40), (4,)])
def test_extractor_refuses_other_spaces_in_words(tiny_encoder, refuses, shape: tuple[int, ...]) -> None:
    with refuses("32x32"):
        EncoderExtractor(spaces.Box(0, 255, shape, np.uint8), tiny_encoder)


def test_extractor_refuses_an_encoder_that_remembers(refuses) -> None:
    with refuses("LatentEncoder follows whole episodes, EncoderExtractor takes frames one by one"):
        EncoderExtractor(gym.spaces.Box(0, 255, (3, 48, 48), np.uint8), "walker-rssm")


def test_extractor_does_not_train_the_module_it_was_given(tiny_encoder) -> None:
    before = snapshot(tiny_encoder)
    policy_kwargs = extractor_kwargs(tiny_encoder, freeze=False)
    PPO("MlpPolicy", make_venv(), policy_kwargs=policy_kwargs, **PPO_SMALL).learn(64)
    assert_unchanged(tiny_encoder, before)


def test_saved_policy_with_an_encoder_predicts_alike(tiny_encoder_dir: Path, tmp_path: Path) -> None:
    policy_kwargs = extractor_kwargs(str(tiny_encoder_dir))
    model = PPO("MlpPolicy", make_venv(), policy_kwargs=policy_kwargs, **PPO_SMALL)
    model.save(tmp_path / "policy.zip")
    loaded = PPO.load(tmp_path / "policy.zip", device="cpu")
    frame = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    assert np.array_equal(
        model.predict(frame, deterministic=True)[0], loaded.predict(frame, deterministic=True)[0]
    )


@pytest.mark.parametrize("how", ["floats", "undivided", "normalised"])
def test_an_extractor_refuses_what_are_not_pixels_in_0_to_1(how, tiny_encoder_dir):
    height, width, _ = load_encoder(tiny_encoder_dir).input_shape
    space = gym.spaces.Box(0, 255, (height, width, 3), np.uint8)
    if how == "floats":
        with pytest.raises(ValueError, match="uint8 frames"):
            EncoderExtractor(gym.spaces.Box(0.0, 255.0, space.shape, np.float32), tiny_encoder_dir)
        return
    extractor = EncoderExtractor(space, tiny_encoder_dir)
    frames = torch.full((1, height, width, 3), {"undivided": 200.0, "normalised": -0.01}[how])
    with pytest.raises(ValueError, match="normalize_images"):
        extractor(frames)


def test_frames_of_another_profile_or_world_are_taken_with_a_warning(tiny_encoder_dir):
    encoder = load_encoder(tiny_encoder_dir)
    encoder.training_record = {"config": {"render_profile": "fast"}}
    shown = {"observation": "pixels", "image_size": encoder.input_shape[:2]}
    make = partial(gym.make, "LatentCtx-PointMass-v0", **shown)
    EncodeObservation(make(render_profile="fast"), encoder).close()
    with pytest.warns(UserWarning, match="render_profile='fast'"):
        EncodeObservation(make(render_profile="turbo"), encoder).close()
    encoder.training_record["family"] = "walker"
    with pytest.warns(UserWarning, match="on worlds of walker, this environment is one of point-mass"):
        VecEncodeObservation(DummyVecEnv([make]), encoder).close()
    encoder.training_record["family"] = "point-mass"
    with pytest.warns(UserWarning, match="has 'turbo'"):
        VecEncodeObservation(DummyVecEnv([partial(make, render_profile="turbo")]), encoder).close()
