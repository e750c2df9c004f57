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
) -> nn.Sequential:
    """Dense layers with GELU (and dropout) after each hidden one; `last` follows the output layer."""
    layers: list[nn.Module] = []
    before = inputs
    for width in hidden:
        layers += [nn.Linear(before, width), nn.GELU("tanh")]
        layers += [nn.Dropout(dropout)] if dropout > 0.0 else []
        before = width
    layers.append(nn.Linear(before, outputs))
    layers += [last] if last is not None else []
    network = nn.Sequential(*layers)
    network.apply(lecun_normal_)
    return network
