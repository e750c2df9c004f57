"""Encoders: uint8 pixels (B, H, W, 3) -> float32 features (B, D), saved as safetensors and JSON."""

from latentctx_envs.extras import require

require("torch", "agents")
require("safetensors", "agents")
require("huggingface_hub", "agents")

from latentctx_envs.encoders.base import Encoder, check_pixels  # noqa: E402
from latentctx_envs.encoders.convnet import PAPER, QUICK, ConvNet, ConvNetConfig  # noqa: E402
from latentctx_envs.encoders.frozen import FrozenEncoder  # noqa: E402
from latentctx_envs.encoders.registry import load_encoder, register_encoder, zoo_names  # noqa: E402
from latentctx_envs.encoders.resnet import ResNet18, ResNet18Config  # noqa: E402

__all__ = [
    "PAPER",
    "QUICK",
    "ConvNet",
    "ConvNetConfig",
    "Encoder",
    "FrozenEncoder",
    "ResNet18",
    "ResNet18Config",
    "check_pixels",
    "load_encoder",
    "register_encoder",
    "zoo_names",
]
