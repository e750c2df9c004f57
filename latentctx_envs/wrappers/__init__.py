"""Wrappers that put a frozen encoder between an environment's pixels and the learner, or pin the hidden context.

The SB3 twins live in `latentctx_envs.wrappers.sb3`, so that this package does not need Stable-Baselines3.
"""

from latentctx_envs.wrappers.encode import EncodeObservation
from latentctx_envs.wrappers.pin import PinContext, VectorPinContext
from latentctx_envs.wrappers.vector import VectorEncodeObservation

__all__ = ["EncodeObservation", "PinContext", "VectorEncodeObservation", "VectorPinContext"]
