"""Multilayer perceptrons of arXiv 2305.16985."""

from collections.abc import Sequence

from torch import nn

from latentctx_envs.encoders.convnet import lecun_normal_


def mlp(
    inputs: int,
    outputs: int,
    *,
    hidden: Sequence[int] = (256, 256),
    dropout: float = 0.0,
    last: nn.Module | None = None,
    lecun: bool = False,
) -> nn.Sequential:
    """Dense layers with GELU (and dropout) after each hidden one.

    Args:
        inputs: length of the input.
        outputs: length of the output.
        hidden: widths of the hidden layers.
        dropout: after each hidden layer.
        last: a module that follows the output layer.
        lecun: start with the paper's lecun-normal weights (variance 1/fan-in) instead of torch's default (1/(3 fan-in)).
            On small budgets the larger start costs inverse dynamics its geometry (docs/papers/inverse_dynamics.md).
    """
    layers: list[nn.Module] = []
    before = inputs
    for width in hidden:
        layers += [nn.Linear(before, width), nn.GELU("tanh")]
        layers += [nn.Dropout(dropout)] if dropout > 0.0 else []
        before = width
    layers.append(nn.Linear(before, outputs))
    layers += [last] if last is not None else []
    network = nn.Sequential(*layers)
    return network.apply(lecun_normal_) if lecun else network
