"""State probe: how well the true position can be read from frozen features (arXiv 2305.16985, Fig 7)."""

import numpy as np
import torch
from torch import Tensor

from latentctx_agents.nets import mlp
from latentctx_agents.optim import OptimizerConfig, Training

PROBE = OptimizerConfig(steps=1500, batch_size=256, learning_rate=1e-3)


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
    return float(np.sqrt(np.square(errors).sum(axis=1).mean()))
