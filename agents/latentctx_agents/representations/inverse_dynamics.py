"""Inverse dynamics: which action led from one frame to the other? (arXiv 2305.16985)."""

import torch
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


class InverseDynamics(Objective):
    """MSE(head(phi(o_t), phi(o_t+n)), a_t): the first action between two frames, gradient through both."""

    multi_step = True

    def __init__(self, encoder: Encoder, config: ObjectiveConfig) -> None:
        super().__init__(encoder, config)
        self.head = action_head(2 * encoder.features_dim, config)

    def loss(self, encoder: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """Mean squared error of the action between two frames."""
        both = encoder(torch.cat([batch.pixels, batch.next_pixels]))
        features, next_features = both.chunk(2)
        predicted = self.head(torch.cat([features, next_features], dim=-1))
        return action_error(predicted, batch.actions[:, 0]), {}
