"""Networks whose output is a normal distribution, and its formulas, without distribution objects in the loop."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

LEAST_STD = 1e-6
LARGEST_ACTION = 0.999
ACTIVATIONS = {"elu": nn.ELU, "silu": nn.SiLU}
StdKind = Literal["softplus", "sigmoid", "one"]


class Normal(NamedTuple):
    """Independent normal distributions."""

    mean: Tensor
    std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise stands for; gradients pass."""
        return self.mean + self.std * noise

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of each entry."""
        return -0.5 * ((value - self.mean) / self.std).square() - self.std.log() - 0.5 * math.log(2 * math.pi)

    def detach(self) -> "Normal":
        """The same numbers without gradients."""
        return Normal(self.mean.detach(), self.std.detach())


def kl_divergence(one: Normal, other: Normal) -> Tensor:
    """KL(one || other) of each entry, in nats."""
    ratio = (one.std / other.std).square()
    distance = ((one.mean - other.mean) / other.std).square()
    return 0.5 * (ratio + distance - 1.0 - ratio.log())


def tanh_log_prob(distribution: Normal, action: Tensor) -> Tensor:
    """Log-density of each entry of `action` = tanh of a normal variable; actions are kept within +-.999."""
    inside = action.clamp(-LARGEST_ACTION, LARGEST_ACTION)
    return distribution.log_prob(torch.atanh(inside)) - torch.log1p(-inside.square())


class TwinLinear(nn.Module):
    """Two linear layers side by side, (2, n, inputs) -> (2, n, outputs), in one batched product."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        pair = [nn.Linear(inputs, outputs) for _ in range(2)]
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().T for layer in pair]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in pair])[:, None])

    def forward(self, values: Tensor) -> Tensor:
        """Both outputs."""
        return torch.baddbmm(self.bias, values, self.weight)


class GaussianMLP(nn.Module):
    """A vector -> a normal distribution over another.

    The first layer stands apart (`first`, `rest`), so that a caller in a recurrent loop can compute the part of it that
    does not depend on the recurrence beforehand.

    Args:
        inputs: length of the input.
        outputs: length of the output.
        hidden: widths of the hidden layers.
        activation: "elu" or "silu".
        norm: layer norm before each activation.
        separate: one network for the mean and one for the standard deviation; else one whose output is split.
        std: "softplus" (at least 1e-6), "sigmoid" (2 sigmoid(x/2) + 0.1), or "one", which has no network.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: Sequence[int],
        activation: Literal["elu", "silu"] = "elu",
        norm: bool = False,
        separate: bool = True,
        std: StdKind = "softplus",
    ) -> None:
        super().__init__()
        self._twin = separate and std != "one"
        self._std: StdKind = std
        self._width = hidden[0]
        self.first = nn.Linear(inputs, hidden[0] * (2 if self._twin else 1))
        layer = TwinLinear if self._twin else nn.Linear
        layers: list[nn.Module] = []
        for before, after in zip(hidden, (*hidden[1:], 0), strict=True):
            layers += [nn.LayerNorm(before)] if norm else []
            layers.append(ACTIVATIONS[activation]())
            last = outputs if self._twin or std == "one" else 2 * outputs
            layers.append(layer(before, after or last))
        self.rest = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Normal:
        """The distribution for inputs (..., i)."""
        return self.after_first(self.first(inputs))

    def after_first(self, values: Tensor) -> Normal:
        """The distribution for outputs (..., w) of the first layer."""
        if self._twin:
            flat = values.reshape(-1, 2, self._width).transpose(0, 1)
            mean, raw = self.rest(flat).unflatten(1, values.shape[:-1]).unbind(0)
        elif self._std == "one":
            mean = self.rest(values).float()
            return Normal(mean, torch.ones_like(mean))
        else:
            mean, raw = self.rest(values).chunk(2, dim=-1)
        return Normal(mean.float(), standard_deviation(raw.float(), self._std))


def standard_deviation(raw: Tensor, kind: StdKind) -> Tensor:
    """Standard deviations of raw outputs."""
    if kind == "sigmoid":
        return 2.0 * torch.sigmoid(0.5 * raw) + 0.1
    return F.softplus(raw) + LEAST_STD
