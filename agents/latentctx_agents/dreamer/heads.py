"""What Dreamer reads from latent states: rewards, values, and for Plan2Explore how little is known."""

import torch
from torch import Tensor, nn

from latentctx_agents.dreamer.imagination import Imagined
from latentctx_envs.encoders.latent.gaussian import GaussianMLP


class Scalar(nn.Module):
    """A number for each state (..., f): a normal distribution of standard deviation 1 around it.

    Args:
        inputs: f.
        hidden: widths of the hidden layers.
        zero: begin with 0 for every state, so that nobody follows the slope of what was not learned yet.
    """

    def __init__(self, inputs: int, hidden: tuple[int, ...] = (128, 128), *, zero: bool = False) -> None:
        super().__init__()
        self.network = GaussianMLP(inputs, 1, hidden=hidden, std="one")
        if zero:
            for parameter in self.network.rest[-1].parameters():
                nn.init.zeros_(parameter)

    def forward(self, states: Tensor) -> Tensor:
        """The numbers (...)."""
        return self.network(states).mean[..., 0]

    def loss(self, states: Tensor, targets: Tensor) -> Tensor:
        """Negative log-likelihood of each target (...)."""
        return -self.network(states).log_prob(targets[..., None])[..., 0]


class Ensemble(nn.Module):
    """K networks that predict the next embedding from a state and the action taken there (arXiv 2005.05960).

    They see the same data from different first weights; where they disagree, little is known.

    Args:
        states: length of a state.
        actions: length of an action.
        embedding: length of an embedding.
        members: K.
        hidden: width of the two hidden layers.
    """

    def __init__(
        self, states: int, actions: int, embedding: int, *, members: int = 5, hidden: int = 1024
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(
            GaussianMLP(states + actions, embedding, hidden=(hidden, hidden), std="one")
            for _ in range(members)
        )

    def forward(self, states: Tensor, actions: Tensor) -> Tensor:
        """The predictions (K, ..., e)."""
        inputs = torch.cat([states, actions], dim=-1)
        return torch.stack([member(inputs).mean for member in self.members])

    def loss(self, states: Tensor, actions: Tensor, embeddings: Tensor) -> Tensor:
        """Squared error of each prediction (...), summed over members, mean over the embedding; nothing else is moved."""
        errors = self(states.detach(), actions) - embeddings.detach()
        return errors.square().mean(dim=-1).sum(dim=0)

    def disagreement(self, imagined: Imagined) -> Tensor:
        """Reward of each imagined step (H, n): mean over the embedding of the log-variance between members."""
        predicted = self(imagined.before, imagined.actions)
        return (predicted.var(dim=0) + 1e-8).log().mean(dim=-1)
