"""Implicit forward dynamics: frame and action pick the next frame out of a batch (arXiv 2305.16985)."""

import torch
from torch import Tensor

from latentctx_agents.representations.objective import (
    PROJECTION,
    ActionEncoder,
    Batch,
    Metrics,
    Objective,
    ObjectiveConfig,
    info_nce,
    projector,
)
from latentctx_envs.encoders import Encoder


class ImplicitForwardDynamics(Objective):
    """InfoNCE between a projection of (phi(o_t), g(a_t..a_t+n-1)) and one of phi(o_t+n)."""

    multi_step = True

    def __init__(self, encoder: Encoder, config: ObjectiveConfig) -> None:
        super().__init__(encoder, config)
        size = encoder.features_dim
        self.action_encoder = ActionEncoder(config)
        self.query = projector(size + PROJECTION, config)
        self.key = projector(size, config)

    def loss(self, encoder: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """Contrastive loss of the next frame."""
        both = encoder(torch.cat([batch.pixels, batch.next_pixels]))
        features, next_features = both.chunk(2)
        query = self.query(torch.cat([features, self.action_encoder(batch.actions)], dim=-1))
        return info_nce(query, self.key(next_features), self.config.temperature)
