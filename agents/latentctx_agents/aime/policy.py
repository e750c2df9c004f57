"""The policy of AIME: a squashed normal distribution over actions, given a latent state."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latentctx_envs.encoders.latent.gaussian import GaussianMLP, Normal


class TanhPolicy(nn.Module):
    """pi(a | s): the tanh of a normal variable.

    Args:
        inputs: length of the input.
        action_dim: length of an action.
        hidden: widths of the hidden layers of each of the two networks.
    """

    def __init__(self, inputs: int, action_dim: int, hidden: Sequence[int] = (128, 128)) -> None:
        super().__init__()
        self.hidden = tuple(hidden)
        self.network = GaussianMLP(inputs, action_dim, hidden=hidden)

    def forward(self, inputs: Tensor) -> Normal:
        """The distribution before the tanh."""
        return self.network(inputs)

    def mode(self, inputs: Tensor) -> Tensor:
        """The tanh of the mean."""
        return torch.tanh(self.network(inputs).mean)
