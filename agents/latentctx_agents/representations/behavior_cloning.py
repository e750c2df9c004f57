"""Behaviour cloning over all contexts at once: the action from the frame alone (arXiv 2305.16985)."""

from torch import Tensor

from latentctx_agents.representations.objective import (
    Batch,
    Metrics,
    Objective,
    ObjectiveConfig,
    action_error,
    action_head,
)
from latentctx_envs.encoders import Encoder


class BehaviorCloning(Objective):
    """MSE(head(phi(o_t)), a_t), blind to the context; the head is thrown away, phi is kept."""

    uses_next = False

    def __init__(self, encoder: Encoder, config: ObjectiveConfig) -> None:
        super().__init__(encoder, config)
        self.head = action_head(encoder.features_dim, config)

    def loss(self, encoder: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """Mean squared error of the demonstrator's action."""
        return action_error(self.head(encoder(batch.pixels)), batch.actions[:, 0]), {}
