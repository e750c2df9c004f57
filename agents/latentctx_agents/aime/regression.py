"""Supervised regression as AIME's baselines are trained: splits by episode, the best step on held-out episodes is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

Loss = Callable[[np.ndarray], Tensor]  # of the transitions with these indices


@dataclass(frozen=True, kw_only=True)
class RegressionConfig:
    """Adam with early stopping.

    Raises:
        ValueError: a number is out of range.
    """

    batch_size: int = 50
    learning_rate: float = 1e-3
    least_epochs: int = 50  # before the held-out error may stop a training
    least_steps: int = 5000
    most_steps: int | None = None  # a bound on the computation; None as in the paper
    check_every: int | None = None  # [steps] between two looks at the held-out error; None: an epoch
    patience: int = 3  # looks in a row without a better one that end a training
    held_out: float = 0.3  # share of episodes
    # hold out single transitions instead of episodes, as the paper's code: neighbours leak
    by_window: bool = False

    def __post_init__(self) -> None:
        """Refuse impossible numbers in words."""
        if min(self.batch_size, self.patience) < 1 or min(self.least_epochs, self.least_steps) < 0:
            raise ValueError("batch_size and patience start at 1, least_epochs and least_steps at 0.")
        if min(n for n in (self.most_steps, self.check_every, 1) if n is not None) < 1:
            raise ValueError("most_steps and check_every start at 1, or are None.")
        if not 0.0 < self.held_out < 1.0 or self.learning_rate <= 0.0:
            raise ValueError("held_out lies between 0 and 1, learning_rate above 0.")


class Fit(NamedTuple):
    """How a regression went."""

    steps: int
    error: float  # of the kept weights on what was held out


def split(
    episodes: np.ndarray, config: RegressionConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Indices to train on and to hold out, of transitions whose episodes these are (n,).

    A single episode is both: nothing can be held out of it.
    """
    if config.by_window:
        order = rng.permutation(len(episodes))
        count = max(round(config.held_out * len(order)), 1)
        return np.sort(order[count:]), np.sort(order[:count])
    names = rng.permutation(np.unique(episodes))
    count = min(max(round(config.held_out * len(names)), 1), len(names) - 1)
    outside = np.isin(episodes, names[:count])
    inside = np.flatnonzero(~outside)
    return inside, np.flatnonzero(outside) if count else inside


def fit(
    network: nn.Module,
    loss: Loss,
    episodes: np.ndarray,
    config: RegressionConfig,
    rng: np.random.Generator,
) -> Fit:
    """Train a network and leave it with the weights that were best on what was held out.

    Args:
        network: its parameters are trained.
        loss: mean loss of transitions, by their indices.
        episodes: the episode of each transition, int (n,).
        config: the training.
        rng: of the split and the batches.
    """
    inside, outside = split(episodes, config, rng)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    epoch = max(-(-len(inside) // config.batch_size), 1)
    every = epoch if config.check_every is None else config.check_every
    least = max(config.least_epochs * epoch, config.least_steps)
    most = config.most_steps if config.most_steps is not None else np.inf
    best, kept, bad, step = np.inf, _weights(network), 0, 0
    order = np.empty(0, np.int64)
    while step < most and (step < least or bad < config.patience):
        network.train()
        for _ in range(int(min(every, most - step))):
            if len(order) < min(config.batch_size, len(inside)):
                order = rng.permutation(inside)
            rows, order = order[: config.batch_size], order[config.batch_size :]
            optimizer.zero_grad(set_to_none=True)
            loss(rows).backward()
            optimizer.step()
            step += 1
        error = held_out_error(network, loss, outside)
        if error < best:
            best, kept, bad = error, _weights(network), 0
        else:
            bad += 1
    network.load_state_dict(kept)
    network.eval()
    return Fit(step, float(best))


def held_out_error(network: nn.Module, loss: Loss, rows: np.ndarray, chunk: int = 4096) -> float:
    """Mean loss over many transitions, without gradients."""
    network.eval()
    with torch.no_grad():
        parts = [
            (loss(rows[i : i + chunk]).item(), len(rows[i : i + chunk])) for i in range(0, len(rows), chunk)
        ]
    return sum(value * count for value, count in parts) / len(rows)


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
