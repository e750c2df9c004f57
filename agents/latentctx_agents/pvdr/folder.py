"""A video model as one module, on disk, and as an encoder."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from latentctx_agents.model_folder import read_model, write_model
from latentctx_agents.pvdr.model import DynamicsModel
from latentctx_agents.pvdr.tokenizer import Tokenizer
from latentctx_envs.encoders.dynamics.config import DynamicsConfig
from latentctx_envs.encoders.dynamics.encoder import DynamicsEncoder, DynamicsEncoderConfig


class VideoModel(nn.Module):
    """A tokenizer and the dynamics of its tokens.

    Args:
        config: sizes of both.
    """

    def __init__(self, config: DynamicsConfig) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = Tokenizer(config.tokenizer)
        self.dynamics = DynamicsModel(config)


def as_encoder(model: VideoModel) -> DynamicsEncoder:
    """The part of a video model that sees and does not look ahead, a copy.

    Raises:
        ValueError: the model has no latent, and so no prior.
    """
    if model.dynamics.prior is None:
        raise ValueError("a model without a latent has no features of its own.")
    encoder = DynamicsEncoder(DynamicsEncoderConfig(model=model.config))
    encoder.frames.load_state_dict(model.tokenizer.encoder.state_dict())
    encoder.context.load_state_dict(model.dynamics.prior.features.state_dict())
    return encoder.eval()


def videos_of(training: Mapping[str, Any]) -> str:
    """What rows of results call the videos of a model's or an agent's training: a set's name, or its folder's."""
    return Path(str(training.get("dataset", ""))).name


def tokenizer_hash(tokenizer: Tokenizer) -> str:
    """sha256 of what turns frames into tokens; equal hashes give equal tokens."""
    digest = hashlib.sha256(json.dumps(asdict(tokenizer.config), sort_keys=True).encode())
    for name, tensor in sorted(tokenizer.encoder.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().to(torch.float32).numpy().tobytes())
    return digest.hexdigest()


def save_video_model(model: VideoModel, directory: Path, training: dict[str, Any]) -> None:
    """Write a video model, replacing the directory in one move.

    Args:
        model: tokenizer and dynamics.
        directory: where to.
        training: JSON values of how it was trained.
    """
    write_model(model, directory, {"model": asdict(model.config)}, training)


def load_video_model(directory: Path) -> tuple[VideoModel, dict[str, Any]]:
    """A video model and the record of its training.

    Raises:
        ValueError: files are missing or damaged.
    """
    return read_model(directory, "video model", lambda facts: VideoModel(DynamicsConfig(**facts["model"])))
