"""Explicit forward dynamics: frame and action reconstruct the next frame (arXiv 2305.16985)."""

import torch
from torch import Tensor

from latentctx_agents.nets import ImageDecoder
from latentctx_agents.nets.decoder import target_image
from latentctx_agents.representations.objective import (
    PROJECTION,
    ActionEncoder,
    Batch,
    Metrics,
    Objective,
    ObjectiveConfig,
)
from latentctx_envs.encoders import Encoder


class ExplicitForwardDynamics(Objective):
    """MSE(decoder(phi(o_t), g(a_t)), o_t+1 / 255 - 0.5); trained without shifts."""

    uses_shifts = False

    def __init__(self, encoder: Encoder, config: ObjectiveConfig) -> None:
        super().__init__(encoder, config)
        height, width, _ = encoder.input_shape
        self.action_encoder = ActionEncoder(config)
        self.decoder = ImageDecoder(
            encoder.features_dim + PROJECTION, (height, width), width=config.decoder_width
        )

    def loss(self, encoder: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """Mean squared pixel error of the reconstructed next frame."""
        inputs = torch.cat([encoder(batch.pixels), self.action_encoder(batch.actions)], dim=-1)
        return (self.decoder(inputs) - target_image(batch.next_pixels)).square().mean(), {}
