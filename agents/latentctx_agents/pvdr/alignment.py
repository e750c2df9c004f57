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

from latentctx_agents.pvdr.trunks import HIDDEN, MakeTrunk


class AlignmentNets(nn.Module):
    """Two networks of one shape: the actor's sees its first inputs only, the critic's all of them.

    Args:
        inputs: numbers of an observation.
        actor_inputs: how many of them the actor sees.
        outright: how many of these, the last, are an action as they stand, and passed on beside what the trunk makes.
        trunk: makes either.
    """

    def __init__(self, inputs: int, actor_inputs: int, outright: int, trunk: MakeTrunk) -> None:
        super().__init__()
        self.latent_dim_pi, self.latent_dim_vf = HIDDEN + outright, HIDDEN
        self._actor_inputs, self._outright = actor_inputs, outright
        self.actor, self.critic = trunk(0), trunk(inputs - actor_inputs)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(b, inputs) -> (b, HIDDEN + outright) and (b, HIDDEN)."""
        return self.forward_actor(values), self.forward_critic(values)

    def forward_actor(self, values: Tensor) -> Tensor:
        """What the action is read from; the goal acts through the chosen plan only."""
        seen = values[:, : self._actor_inputs]
        return torch.cat([self.actor(seen), seen[:, self._actor_inputs - self._outright :]], dim=1)

    def forward_critic(self, values: Tensor) -> Tensor:
        """What the value is read from."""
        return self.critic(values)


class AlignmentPolicy(ActorCriticPolicy):
    """Stable-Baselines3's policy over `AlignmentNets`; the spread of actions is set, not learned.

    Where an action is read outright, the policy begins with it and learns what to add and how much of it to take.

    Args:
        actor_inputs: numbers at the beginning of an observation that the actor sees.
        outright: as in `AlignmentNets`; 0 or numbers of an action.
        trunk: as in `AlignmentNets`.
    """

    def __init__(self, *args: Any, actor_inputs: int, outright: int, trunk: MakeTrunk, **kwargs: Any) -> None:
        self._actor_inputs, self._outright, self._trunk = actor_inputs, outright, trunk
        super().__init__(*args, **kwargs)
        self.log_std.requires_grad_(False)
        if outright:
            assert isinstance(self.action_net, nn.Linear)
            with torch.no_grad():
                self.action_net.weight.zero_()
                self.action_net.weight[:, HIDDEN:] = torch.eye(outright)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = AlignmentNets(  # type: ignore[assignment]
            self.features_dim, self._actor_inputs, self._outright, self._trunk
        )

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
