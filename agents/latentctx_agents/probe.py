"""Probes: how well the true position, or another encoder's features, can be read from frozen features."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentctx_agents.nets import mlp
from latentctx_agents.optim import OptimizerConfig, Training
from latentctx_datasets import PixelStore, library, open_features
from latentctx_datasets.replay import world_of

PROBE = OptimizerConfig(steps=1500, batch_size=256, learning_rate=1e-3)
EPISODES, HELD_OUT = 200, 40  # that encoders are probed on; the last ones test


def probe_error(
    features: np.ndarray,
    targets: np.ndarray,
    held_out: int,
    *,
    config: OptimizerConfig = PROBE,
    seed: int = 0,
) -> float:
    """Root mean square error on the last `held_out` rows, in the targets' unit.

    Linear outputs on standardised targets (the paper's released probe had a tanh on raw states: a floor of its own).

    Args:
        features: float32 (n, d).
        targets: float32 (n, k), e.g. positions [m].
        held_out: rows at the end that the probe is not trained on.
        config: the probe's own optimiser.
        seed: of weights and batches.

    Raises:
        ValueError: nothing is left to train on or to test on.
    """
    errors, _ = _fit(features, targets, held_out, config, seed)
    return float(np.sqrt(np.square(errors).sum(axis=1).mean()))


def unexplained(
    features: np.ndarray,
    targets: np.ndarray,
    held_out: int,
    *,
    config: OptimizerConfig = PROBE,
    seed: int = 0,
) -> float:
    """Share of the targets' variance that the probe does not explain on the last `held_out` rows; 1 for the mean.

    The mean over the target's dimensions that vary; arguments and errors as those of `probe_error`.
    """
    errors, scale = _fit(features, targets, held_out, config, seed)
    varies = scale > 1e-6
    return float((np.square(errors).mean(axis=0)[varies] / np.square(scale[varies])).mean())


def probe_unexplained(store: PixelStore, encoder: Path, config: OptimizerConfig = PROBE) -> float:
    """`unexplained` of the true positions by an encoder's features, on a store's first episodes."""
    features, held_out = probe_features(store, encoder)
    with world_of(library.load(store.dataset_id)) as world:
        positions = world.position_of(store.observations[: len(features)])
    return unexplained(features, positions, held_out, config=config)


def cross_unexplained(
    store: PixelStore, encoder: Path, other: Path, config: OptimizerConfig = PROBE
) -> float:
    """`unexplained` of another encoder's features by an encoder's (arXiv 2305.16985, Fig 9)."""
    features, held_out = probe_features(store, encoder)
    return unexplained(features, probe_features(store, other)[0], held_out, config=config)


def probe_features(store: PixelStore, encoder: Path) -> tuple[np.ndarray, int]:
    """An encoder's features of a store's first episodes, and how many rows at the end are held out."""
    episodes = min(EPISODES, len(store))
    held_out = max(1, episodes * HELD_OUT // EPISODES)
    end = store.starts[episodes - 1] + store.lengths[episodes - 1] + 1
    features = np.array(open_features(store, encoder, episodes=episodes).features)
    return features, int(end - store.starts[episodes - held_out])


def _fit(
    features: np.ndarray, targets: np.ndarray, held_out: int, config: OptimizerConfig, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Errors on the held-out rows (held_out, k) and the deviation (k,) of the others, both in the targets' unit."""
    count = len(features) - held_out
    if held_out < 1 or count < 1:
        raise ValueError(f"held_out must leave rows on both sides of {len(features)}; got {held_out}.")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    mean, scale = targets[:count].mean(axis=0), targets[:count].std(axis=0) + 1e-8
    x, y = torch.from_numpy(features), torch.from_numpy((targets - mean) / scale)
    head = mlp(features.shape[1], targets.shape[1])

    def loss() -> tuple[Tensor, dict[str, float]]:
        rows = rng.integers(count, size=config.batch_size)
        return (head(x[rows]) - y[rows]).square().mean(), {}

    for _ in Training([head], config, rng).run(loss):
        pass
    with torch.inference_mode():
        errors = (head(x[count:]) - y[count:]).numpy() * scale
    return errors, scale
