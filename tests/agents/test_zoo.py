import gymnasium as gym
import numpy as np
import pytest

from latentctx_datasets import View, load, replay
from latentctx_envs.encoders import FrozenEncoder, load_encoder, zoo_names
from latentctx_envs.encoders.registry import ZOO
from latentctx_envs.wrappers import EncodeObservation

SMALL = "latentctx/point-mass/expert-small-v0"


@pytest.mark.parametrize("name", zoo_names())
def test_every_shipped_encoder_is_small_and_says_how_it_was_made(name):
    record = load_encoder(name).training_record
    assert {"objective", "dataset", "dataset_hash", "seed", "command", "commit"} <= set(record)
    assert sum(file.stat().st_size for file in (ZOO / name).iterdir()) < 1_200_000


def test_the_shipped_filter_of_the_walker_knows_velocities_that_positions_do_not_show():
    blind, seeing = (
        gym.make("LatentCtx-WalkerWalk-v0", observation=observed, action_repeat=2)
        for observed in ("position", "state")
    )
    filtered, rng = EncodeObservation(blind, "walker-rssm"), np.random.default_rng(0)
    features, states = [], []
    for seed in range(4):
        features.append(filtered.reset(seed=seed)[0])
        states.append(seeing.reset(seed=seed)[0])
        for _ in range(250):
            action = rng.uniform(-1.0, 1.0, 6).astype(np.float32)
            features.append(filtered.step(action)[0])
            states.append(seeing.step(action)[0])
    x, y = np.array(features), np.array(states)
    assert x.shape == (1004, 160)
    told, shown = (unexplained(columns, y[:, 15:]) for columns in (x, y[:, :15]))  # of nine velocities
    assert told < 0.6 * shown


def unexplained(columns, wanted):
    """Mean share of the variance that a linear reading leaves, trained on three episodes, tested on the fourth."""
    columns = np.c_[columns, np.ones(len(columns))]
    penalty = 1e-2 * np.eye(columns.shape[1])
    seen, target = columns[:753], wanted[:753]
    weights = np.linalg.solve(seen.T @ seen + penalty, seen.T @ target)
    errors = columns[753:] @ weights - wanted[753:]
    return (np.square(errors).mean(axis=0) / wanted[753:].var(axis=0)).mean()


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
