"""The action alignment module: (features of the context, latent) -> action, with a critic of the same shape.

Stable-Baselines3's PPO trains both; between its updates the module learns from what was done, by supervision, and the
video model from what was seen.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn

HIDDEN = 256  # units of both layers


class AlignmentNets(nn.Module):
    """Two networks of one shape: the actor's sees its first inputs only, the critic's all of them."""

    def __init__(self, inputs: int, actor_inputs: int) -> None:
        super().__init__()
        self.latent_dim_pi = self.latent_dim_vf = HIDDEN
        self._actor_inputs = actor_inputs
        self.actor, self.critic = (
            nn.Sequential(
                nn.LayerNorm(size), nn.Linear(size, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU()
            )
            for size in (actor_inputs, inputs)
        )

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(b, inputs) -> (b, HIDDEN) twice."""
        return self.forward_actor(values), self.forward_critic(values)

    def forward_actor(self, values: Tensor) -> Tensor:
        """What the action is read from; the goal acts through the chosen latent only."""
        return self.actor(values[:, : self._actor_inputs])

    def forward_critic(self, values: Tensor) -> Tensor:
        """What the value is read from."""
        return self.critic(values)


class AlignmentPolicy(ActorCriticPolicy):
    """Stable-Baselines3's policy over `AlignmentNets`; the spread of actions is set, not learned.

    Args:
        actor_inputs: numbers at the beginning of an observation that the actor sees.
    """

    def __init__(self, *args: Any, actor_inputs: int, **kwargs: Any) -> None:
        self._actor_inputs = actor_inputs
        super().__init__(*args, **kwargs)
        self.log_std.requires_grad_(False)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = AlignmentNets(self.features_dim, self._actor_inputs)  # type: ignore[assignment]

    def aligned(self, features: Tensor, latent: Tensor) -> Tensor:
        """Mean actions (b, a) of features (b, d) and latents (b, z)."""
        return self.action_net(self.mlp_extractor.forward_actor(torch.cat([features, latent], dim=1)))

    def set_spread(self, std: float) -> None:
        """Standard deviation of the actions that are drawn."""
        with torch.no_grad():
            self.log_std.fill_(torch.tensor(std).log())


def alignment_loss(policy: AlignmentPolicy, features: Tensor, latents: Tensor, actions: Tensor) -> Tensor:
    """Mean squared error of the actions (b, a) that were done between a context and the future with this latent."""
    return F.mse_loss(policy.aligned(features, latents), actions)


class AlignedPPO(PPO):
    """PPO that hands over after each rollout; `reinforce=False` leaves its own update out.

    Args:
        between: called after each rollout's update.
        reinforce: whether PPO's update happens.
    """

    def __init__(
        self, *args: Any, between: Callable[[], None], reinforce: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._between, self._reinforce = between, reinforce

    def train(self) -> None:
        """PPO's update, then what comes between."""
        if self._reinforce:
            super().train()
        self._between()
