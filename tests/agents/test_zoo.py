import numpy as np
import pytest

from latentctx_datasets import View, load, replay
from latentctx_envs.encoders import FrozenEncoder, load_encoder, zoo_names
from latentctx_envs.encoders.registry import ZOO

SMALL = "latentctx/point-mass/expert-small-v0"


@pytest.mark.parametrize("name", zoo_names())
def test_every_shipped_encoder_is_small_and_says_how_it_was_made(name):
    record = load_encoder(name).training_record
    assert {"objective", "dataset", "dataset_hash", "seed", "command", "commit"} <= set(record)
    assert sum(file.stat().st_size for file in (ZOO / name).iterdir()) < 1_200_000


@pytest.mark.slow
def test_positions_are_linear_in_the_features_of_the_shipped_point_mass_encoder():
    dataset = load(SMALL)
    encoder = FrozenEncoder("point-mass-id")
    view = View(image_size=encoder.module.input_shape[0])
    features = [encoder.encode(frames) for frames in replay(dataset, view, range(20))]
    positions = [dataset[index].observations[:, :2] for index in range(20)]
    x, y = np.concatenate(features[:15]), np.concatenate(positions[:15])
    weights = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)[0]
    x, y = np.concatenate(features[15:]), np.concatenate(positions[15:])
    errors = np.c_[x, np.ones(len(x))] @ weights - y
    assert np.sqrt(np.square(errors).sum(axis=1).mean()) < 0.03  # a random encoder: about 0.08 m
