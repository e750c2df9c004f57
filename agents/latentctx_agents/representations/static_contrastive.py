"""Static observation modelling: two shifted views of one frame find each other (arXiv 2305.16985)."""

import torch
from torch import Tensor

from latentctx_agents.representations.objective import (
    Batch,
    Metrics,
    Objective,
    ObjectiveConfig,
    info_nce,
    projector,
)
from latentctx_envs.encoders import Encoder


class StaticContrastive(Objective):
    """InfoNCE between two independently shifted views of o_t; no action, no time.

    `Batch.next_pixels` must hold the second view of the same frame; pretraining sees to it (`same_frame`).
    """

    same_frame = True

    def __init__(self, encoder: Encoder, config: ObjectiveConfig) -> None:
        super().__init__(encoder, config)
        self.query = projector(encoder.features_dim, config)
        self.key = projector(encoder.features_dim, config)

    def loss(self, encoder: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """Contrastive loss between the two views."""
        first, second = encoder(torch.cat([batch.pixels, batch.next_pixels])).chunk(2)
        return info_nce(self.query(first), self.key(second), self.config.temperature)
