"""Publishing encoders that remember: a world model's filter and a video model's encoder, from tiny trainings."""

import dataclasses
import json
import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from latentctx_agents import zoo
from latentctx_agents.cli import main
from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.pvdr.pretrain import VideoTraining, pretrain
from latentctx_agents.results import Measurement, write_results
from latentctx_agents.world_models.folder import load_world_model
from latentctx_agents.world_models.train import WorldModelTraining, train_world_model
from latentctx_datasets import load
from latentctx_datasets.videos.push import build_push
from latentctx_envs.encoders import load_encoder, registry
from latentctx_envs.encoders.base import rounded
from latentctx_envs.encoders.dynamics.config import DynamicsConfig, TokenizerConfig
from latentctx_envs.encoders.dynamics.encoder import DynamicsEncoder, DynamicsEncoderConfig
from latentctx_envs.encoders.latent.config import QUICK
from latentctx_envs.encoders.latent.encoder import LatentEncoder, LatentEncoderConfig
from latentctx_envs.encoders.stateful import Streams
from latentctx_envs.wrappers import EncodeObservation

SMALL = "latentctx/point-mass/expert-small-v0"
TOLERANCE = 0.01  # of what half precision may move a feature over an episode, of features in about [-1, 1]
CODE = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
FEW = OptimizerConfig(
    steps=60, batch_size=8, learning_rate=3e-3, weight_decay=0.0, schedule="constant", log_every=20
)
TINY_VIDEO = DynamicsConfig(
    tokenizer=TokenizerConfig(codes=32, code_dim=4, hidden=16, residuals=1, decoder=(8, 4)),
    future=3, width=16, heads=2, posterior_blocks=1, prior_blocks=1, decoder_blocks=1, latent=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def filter_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world_model")
    net = dataclasses.replace(QUICK, deter=32, stoch=8, hidden=(24, 24))
    config = WorldModelTraining(dataset=SMALL, observed="position", model=net, length=20, optimizer=FEW)
    train_world_model(config, folder)
    return folder


@pytest.fixture(scope="module")
def video_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pvdr")
    clips = build_push(folder / "clips", clips=4, workers=1).folder
    few = dataclasses.replace(FEW, steps=12, log_every=4)
    pretrain(VideoTraining(videos=str(clips), model=TINY_VIDEO, tokenizer=few, optimizer=few), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def shelf(filter_run, video_run, tmp_path_factory):
    """A zoo with both."""
    folder = tmp_path_factory.mktemp("zoo")
    zoo.publish(filter_run, "tiny-filter", zoo=folder)
    zoo.publish(video_run, "tiny-video", zoo=folder)
    return folder


def published(folder: Any) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())["published"]


def episode_features(encoder: Any, length: int = 100) -> np.ndarray:
    """Features (length + 1, D) of a filter along the first episode of the dataset."""
    dataset = load(SMALL)
    episode, row = dataset[0], np.zeros(1, np.int64)
    seen = episode.observations[:, : encoder.input_shape[0]]
    assert len(episode.actions) >= length
    streams = Streams(encoder, 1, dataset.action_space)
    found = [streams.begin(seen[:1], row)]
    for time in range(length):
        found.append(streams.follow(seen[time + 1][None], episode.actions[time][None], row))
    return np.concatenate(found)


def test_half_precision_does_not_break_filtering_over_an_episode_of_a_hundred_steps(filter_run, shelf):
    source, stored = load_encoder(filter_run / "encoder"), load_encoder(shelf / "tiny-filter")
    before, after = episode_features(source), episode_features(stored)
    assert after.dtype == np.float32 and before.shape == (101, 40)
    assert 0.0 < np.abs(after - before).max() < TOLERANCE
    assert np.abs(after - before).max() < 0.05 * before.std(axis=0).max()
    assert np.abs(after - before)[-20:].max() < TOLERANCE  # nor does the difference grow


def test_a_filter_of_the_quick_presets_size_keeps_its_features_in_half_precision():
    config = LatentEncoderConfig(family="point-mass", observed="state", action_dim=2, model=QUICK)
    encoder = LatentEncoder(config).eval()
    moved = np.abs(episode_features(rounded(encoder)) - episode_features(encoder)).max()
    assert 0.0 < moved < TOLERANCE


def test_the_card_says_what_rounding_costs_as_measured(filter_run, shelf):
    facts = published(shelf / "tiny-filter")
    source, stored = load_encoder(filter_run / "encoder"), load_encoder(shelf / "tiny-filter")
    first = np.abs(episode_features(stored) - episode_features(source)).max()
    assert 0.99 * first <= facts["max_difference"] < TOLERANCE
    assert 0.0 < facts["rms_difference"] < facts["max_difference"] < facts["spread"]
    assert facts["content_hash"] == stored.content_hash() and facts["frames"] == 4 * 101


@pytest.mark.parametrize("name", ["tiny-filter", "tiny-video"])
def test_the_card_names_data_hash_command_sizes_input_and_the_trainings_numbers(name, shelf):
    card, encoder = zoo.card(name, shelf), load_encoder(shelf / name)
    record, facts = encoder.training_record, published(shelf / name)
    assert all(f"`{record[key]}`" in card for key in ("dataset", "dataset_hash", "command", "objective"))
    assert f"{facts['numbers']:,} numbers, {facts['bytes']:,} bytes" in card
    assert facts["bytes"] == pytest.approx((shelf / name / "model.safetensors").stat().st_size, rel=0.3)
    assert f"{encoder.reads} -> float32 features" in card
    assert f"| {'dynamics ' if name == 'tiny-video' else ''}divergence |" in card
    assert "stored as float16" in card and "is not recorded" in card


def test_the_numbers_of_the_card_are_the_last_of_the_training(filter_run, video_run, shelf):
    last = (filter_run / "metrics.csv").read_text().splitlines()
    row = dict(zip(last[0].split(","), map(float, last[-1].split(",")), strict=True))
    found = published(shelf / "tiny-filter")["metrics"][""]
    assert found["step"] == 60 and "seconds" not in found
    assert found["reconstruction"] == pytest.approx(row["reconstruction"], rel=1e-3)
    assert {*published(shelf / "tiny-video")["metrics"]} == {"tokenizer", "dynamics"}


def test_what_a_filter_reads_and_a_video_model_remembers_is_said(shelf):
    assert load_encoder(shelf / "tiny-filter").reads == (
        "float32 vectors of 2 numbers of the point-mass (position), and the actions (2 numbers) that led to them"
    )
    assert "64 x 64 pixels, of which it remembers the last 2" in load_encoder(shelf / "tiny-video").reads


@pytest.mark.parametrize("name", ["tiny-filter", "tiny-video"])
def test_the_code_of_a_card_wraps_a_world_by_the_name_alone(name, shelf, monkeypatch):
    monkeypatch.setattr(registry, "ZOO", shelf)
    names: dict[str, Any] = {}
    exec(re.sub("^    ", "", CODE.findall(zoo.card(name, shelf))[0], flags=re.MULTILINE), names)
    env = names["env"]
    first, _ = env.reset(seed=0)
    second, *_ = env.step(env.action_space.sample())
    assert env.observation_space.contains(first) and env.observation_space.contains(second)
    features = second["observation"] if isinstance(second, dict) else second
    assert features.shape == (load_encoder(name).features_dim,) and np.ptp(features) > 0.0
    env.close()


def test_the_card_of_a_video_model_shows_frames_as_its_clips_were_rendered(video_run, shelf):
    assert load_encoder(video_run / "encoder").render_profile == "fast"
    assert 'observation="pixels", render_profile="fast")' in zoo.card("tiny-video", shelf)


def test_a_wrapped_worlds_spec_comes_back_by_the_name(shelf, monkeypatch):
    monkeypatch.setattr(registry, "ZOO", shelf)
    env = EncodeObservation(gym.make("LatentCtx-PointMass-v0", observation="position"), "tiny-filter")
    assert env.spec is not None
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    np.testing.assert_array_equal(env.reset(seed=0)[0], again.reset(seed=0)[0])


def test_the_commands_publish_and_list_both(filter_run, video_run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    where = ["--zoo", str(tmp_path)]
    main(["encoders", "publish", str(filter_run), "mine-filter", *where])
    main(["encoders", "publish", str(video_run), "mine-video", *where])
    capsys.readouterr()
    main(["encoders", "list", *where])
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("evidence", "2 numbers", "visual_dynamics", "64 x 64"))
    main(["encoders", "show", "mine-filter", *where])
    assert capsys.readouterr().out.startswith("---")


def test_neither_prior_nor_decoders_are_published(filter_run, shelf):
    names = set(load_file(shelf / "tiny-filter" / "model.safetensors"))
    assert {name.split(".")[0] for name in names} <= {"encoder", "rssm"}
    assert not [name for name in names if "prior" in name]
    model, _ = load_world_model(filter_run / "model")
    assert any(name.startswith("rssm.prior.") for name in model.state_dict())


def test_a_filter_that_was_saved_with_its_prior_loads_without_it(filter_run, tmp_path):
    encoder, model = load_encoder(filter_run / "encoder"), load_world_model(filter_run / "model")[0]
    encoder.save_pretrained(tmp_path / "old")
    prior = {name: t for name, t in model.state_dict().items() if name.startswith("rssm.prior.")}
    save_file({**encoder.state_dict(), **prior}, tmp_path / "old" / "model.safetensors")
    assert load_encoder(tmp_path / "old").content_hash() == encoder.content_hash()


def test_the_quick_presets_encoders_fit_the_zoo_and_a_filter_of_frames_does_not():
    def size(observed: Any) -> int:
        config = LatentEncoderConfig(family="walker", observed=observed, action_dim=6, model=QUICK)
        return zoo.stored_bytes(LatentEncoder(config))

    assert size("state") < 0.2 * zoo.LIMIT
    assert zoo.stored_bytes(DynamicsEncoder(DynamicsEncoderConfig())) < zoo.LIMIT
    assert size("pixels") > zoo.LIMIT


def test_a_filter_of_frames_is_refused_for_its_size(filter_run, tmp_path, refuses):
    config = LatentEncoderConfig(family="walker", observed="pixels", action_dim=6, model=QUICK)
    record = load_encoder(filter_run / "encoder").training_record
    LatentEncoder(config).save_pretrained(tmp_path / "run" / "encoder", training=record)
    with refuses("the limit is 1,200,000"):
        zoo.publish(tmp_path / "run", "mine", zoo=tmp_path / "zoo")


@pytest.mark.parametrize("inside", ["encoder", "model", "tensorboard"])
def test_a_folder_inside_a_run_is_refused(inside, filter_run, tmp_path, refuses):
    with refuses("no finished pretraining", "world-model", "pvdr pretrain"):
        zoo.publish(filter_run / inside, "mine", zoo=tmp_path / "zoo")


def test_a_video_model_of_other_clips_is_refused(video_run, tmp_path, refuses):
    encoder = load_encoder(video_run / "encoder")
    record = {**encoder.training_record, "dataset_hash": "0" * 64}
    encoder.save_pretrained(tmp_path / "encoder", training=record)
    with refuses("not the one that the encoder saw", "000000000000"):
        zoo.publish(tmp_path, "mine", zoo=tmp_path / "zoo")
    encoder.save_pretrained(tmp_path / "encoder", training={**record, "dataset": str(tmp_path / "none")})
    with refuses("holds no clips"):
        zoo.publish(tmp_path, "mine", zoo=tmp_path / "zoo")


def test_results_are_refused_where_no_policy_is_judged(filter_run, tmp_path, refuses):
    row = Measurement(
        study="s", world="w", dataset="d", method="evidence", setting={}, seed=0, metric="success", value=1.0
    )
    write_results(tmp_path / "results.csv", [row], command="none")
    with refuses("LatentEncoder", "leave --results out"):
        zoo.publish(filter_run, "mine", [tmp_path / "results.csv"], zoo=tmp_path / "zoo")


def test_a_damaged_encoder_is_refused(filter_run, tmp_path, refuses):
    load_encoder(filter_run / "encoder").save_pretrained(tmp_path / "encoder")
    (tmp_path / "encoder" / "model.safetensors").write_bytes(b"x")
    with refuses("is damaged"):
        zoo.publish(tmp_path, "mine", zoo=tmp_path / "zoo")
