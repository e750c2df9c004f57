"""PPO on one hidden goal: learning curves of real training, small, from each kind of observation."""

import numpy as np
import pytest
import torch

from latentctx_agents.cli import main
from latentctx_agents.results import read_results
from latentctx_agents.studies import features_rl
from latentctx_agents.studies.features_rl import METHODS, FeaturesRLConfig, learn
from latentctx_envs.encoders import load_encoder
from latentctx_envs.point_mass.context import split_goals

FEW = {"decisions": 64, "evaluate_every": 32, "episodes": 2, "num_envs": 2, "n_steps": 16, "batch_size": 16}
FEW |= {"epochs": 1, "horizon": 4, "hidden": (8, 8)}


@pytest.fixture(scope="module")
def encoder_48(tmp_path_factory):
    """A small encoder of frames that SB3's CnnPolicy takes."""
    from latentctx_envs.encoders import ConvNet, ConvNetConfig

    torch.manual_seed(77)  # none of a config's
    encoder = ConvNet(
        ConvNetConfig(image_size=(47, 47), channels=(4,), strides=(4,), keypoints=4, features=8, centred=True)
    )
    folder = tmp_path_factory.mktemp("encoder") / "encoder"
    encoder.save_pretrained(folder, training={"config": {"render_profile": "turbo"}})
    return str(folder)


@pytest.mark.parametrize("method", METHODS)
def test_the_curve_begins_before_training_and_has_a_point_for_each_evaluation(method, encoder_48):
    config = FeaturesRLConfig(method=method, encoder=encoder_48, **FEW)
    rows = list(learn(config))
    assert rows == list(learn(config))  # one seed, one curve
    assert [row.setting["done"] for row in rows] == [0, 32, 64]
    assert {(row.method, row.metric, row.seed) for row in rows} == {(method, "success", 0)}
    assert all(0.0 <= row.value <= 1.0 for row in rows)


@pytest.mark.parametrize("method", METHODS)
def test_every_episode_of_training_has_the_goal(method, encoder_48):
    config = FeaturesRLConfig(method=method, encoder=encoder_48, goal=3, **FEW)
    venv = features_rl.make_training_env(config, load_encoder(encoder_48))
    venv.reset()
    for _ in range(2 * config.horizon):
        _, _, _, infos = venv.step(np.zeros((2, 2)))
        assert {info["context"]["goal"] for info in infos} == {split_goals("test")[3]}
    venv.close()


def test_methods_differ_in_what_is_seen_and_in_nothing_else(encoder_48):
    encoder = load_encoder(encoder_48)
    shapes, settings = {}, []
    for method in METHODS:
        config = FeaturesRLConfig(method=method, encoder=encoder_48, **FEW)
        venv = features_rl.make_training_env(config, encoder)
        judged = features_rl.make_evaluation_env(config, encoder)
        assert judged.single_observation_space.shape == venv.observation_space.shape
        model = features_rl.make_model(config, venv, encoder)
        settings.append((model.n_steps, model.batch_size, model.n_epochs, model.learning_rate, model.gamma))
        shapes[method] = venv.observation_space.shape
        assert model.policy.net_arch == [8, 8]
        venv.close(), judged.close()
    assert shapes == {"states": (2,), "features": (8,), "pixels": (47, 47, 3), "scratch": (47, 47, 3)}
    assert len(set(settings)) == 1


def test_scratch_trains_a_fresh_network_of_the_encoders_shape_and_features_train_none(encoder_48):
    config = FeaturesRLConfig(method="scratch", encoder=encoder_48, **FEW)
    pretrained = load_encoder(encoder_48)
    venv = features_rl.make_training_env(config, pretrained)
    model = features_rl.make_model(config, venv, pretrained)
    network = model.policy.features_extractor.encoder
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert not torch.equal(before["dense.weight"], pretrained.state_dict()["dense.weight"])
    assert torch.equal(before["center"], pretrained.state_dict()["center"])
    model.learn(32)
    assert not torch.equal(before["dense.weight"], network.state_dict()["dense.weight"])
    venv.close()


def test_the_study_writes_its_curve(encoder_48, tmp_path, capsys):
    out = tmp_path / "curve.csv"
    words = [f"--{name.replace('_', '-')}={value}" for name, value in FEW.items() if name != "hidden"]
    main(["study", "features-rl", *words, "--encoder", encoder_48, "--hidden", "8", "8", "--out", str(out)])
    assert "64 decisions: success" in capsys.readouterr().out
    rows = read_results([out])
    assert [row["setting"]["done"] for row in rows] == [0, 32, 64]
    assert {row["method"] for row in rows} == {"features"}


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"method": "oracle"}, ("states, features, pixels, scratch", "'oracle'")),
        ({"decisions": 0}, ("decisions", "at least 1")),
        ({"evaluate_every": 1000}, ("multiple", "1024", "1000")),
        ({"goal": 100}, ("from 0 to 99", "100")),
    ],
)
def test_impossible_settings_are_refused(kwargs, words, refuses):
    with refuses(*words):
        FeaturesRLConfig(**kwargs)
