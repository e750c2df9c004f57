"""Small networks that learners share."""

from latentctx_agents.nets.decoder import ImageDecoder
from latentctx_agents.nets.mlp import mlp

__all__ = ["ImageDecoder", "mlp"]
