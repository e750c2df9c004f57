"""The action alignment module: what is read of a plan -> action, with a critic of the same shape.

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

from latentctx_envs.encoders.dynamics.config import GRID

HIDDEN = 256  # units of both layers
CHANNELS = (64, 32)  # of the convolutions over frames of tokens
DROPOUT = 0.3  # of what the convolutions found


class AlignmentNets(nn.Module):
    """Two networks of one shape: the actor's sees its first inputs only, the critic's all of them.

    Args:
        inputs: numbers of an observation.
        actor_inputs: how many of them the actor sees.
        planes: if these are planes of 8 x 8 tokens, how many; 0 for a plain vector.
    """

    def __init__(self, inputs: int, actor_inputs: int, planes: int = 0) -> None:
        super().__init__()
        self.latent_dim_pi = self.latent_dim_vf = HIDDEN
        self._actor_inputs = actor_inputs
        more = inputs - actor_inputs
        if planes:
            self.actor, self.critic = _Planes(planes, 0), _Planes(planes, more)
        else:
            self.actor, self.critic = _vector(actor_inputs), _vector(inputs)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(b, inputs) -> (b, HIDDEN) twice."""
        return self.forward_actor(values), self.forward_critic(values)

    def forward_actor(self, values: Tensor) -> Tensor:
        """What the action is read from; the goal acts through the chosen plan only."""
        return self.actor(values[:, : self._actor_inputs])

    def forward_critic(self, values: Tensor) -> Tensor:
        """What the value is read from."""
        return self.critic(values)


def _vector(inputs: int) -> nn.Module:
    return nn.Sequential(
        nn.LayerNorm(inputs), nn.Linear(inputs, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU()
    )


class _Planes(nn.Module):
    """Convolutions over planes of 8 x 8 tokens, then a layer that sees `more` further numbers as well."""

    def __init__(self, planes: int, more: int) -> None:
        super().__init__()
        self._planes = planes
        first, second = CHANNELS
        self.convolutions = nn.Sequential(
            nn.Conv2d(planes, first, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
        )
        self.last = nn.Sequential(
            nn.Linear(second * (GRID // 2) ** 2 + more, HIDDEN), nn.SiLU(), nn.Dropout(DROPOUT)
        )

    def forward(self, values: Tensor) -> Tensor:
        """(b, planes * 64 + more) -> (b, HIDDEN)."""
        count = self._planes * GRID * GRID
        found = self.convolutions(values[:, :count].unflatten(1, (self._planes, GRID, GRID)))
        return self.last(torch.cat([found, values[:, count:]], dim=1))


class AlignmentPolicy(ActorCriticPolicy):
    """Stable-Baselines3's policy over `AlignmentNets`; the spread of actions is set, not learned.

    Args:
        actor_inputs: numbers at the beginning of an observation that the actor sees.
        planes: as in `AlignmentNets`.
    """

    def __init__(self, *args: Any, actor_inputs: int, planes: int = 0, **kwargs: Any) -> None:
        self._actor_inputs, self._planes = actor_inputs, planes
        super().__init__(*args, **kwargs)
        self.log_std.requires_grad_(False)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = AlignmentNets(self.features_dim, self._actor_inputs, self._planes)  # type: ignore[assignment]

    def set_training_mode(self, mode: bool) -> None:
        """Dropout is supervision's: PPO compares its policy with the one that acted, and both must be the same."""
        super().set_training_mode(False)

    def aligned(self, inputs: Tensor) -> Tensor:
        """Mean actions (b, a) of what is read of plans (b, actor_inputs)."""
        return self.action_net(self.mlp_extractor.forward_actor(inputs))

    def set_spread(self, std: float) -> None:
        """Standard deviation of the actions that are drawn."""
        with torch.no_grad():
            self.log_std.fill_(torch.tensor(std).log())


def alignment_loss(policy: AlignmentPolicy, inputs: Tensor, actions: Tensor) -> Tensor:
    """Mean squared error of the actions (b, a) that were done where what followed reads as (b, actor_inputs)."""
    return F.mse_loss(policy.aligned(inputs), actions)


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
