"""Video models on disk: config and safetensors, never pickle."""

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from latentctx_agents.optim import write_weights
from latentctx_agents.pvdr.model import DynamicsModel
from latentctx_agents.pvdr.tokenizer import Tokenizer
from latentctx_envs.encoders.dynamics.config import DynamicsConfig
from latentctx_envs.encoders.dynamics.encoder import DynamicsEncoder, DynamicsEncoderConfig

FORMAT_VERSION = 1
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"


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
    fresh = directory.with_name(f"{directory.name}.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    config = {"format_version": FORMAT_VERSION, "model": asdict(model.config), "training": training}
    (fresh / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
    write_weights(fresh / WEIGHTS_FILE, model)
    shutil.rmtree(directory, ignore_errors=True)
    fresh.rename(directory)


def load_video_model(directory: Path) -> tuple[VideoModel, dict[str, Any]]:
    """A video model and the record of its training.

    Raises:
        ValueError: files are missing or damaged.
    """
    try:
        config = json.loads((directory / CONFIG_FILE).read_text())
        if config["format_version"] != FORMAT_VERSION:
            raise ValueError("another format version")
        model = VideoModel(DynamicsConfig(**config["model"]))
        model.load_state_dict(load_file(directory / WEIGHTS_FILE))
    except FileNotFoundError as error:
        raise ValueError(f"{directory} is no video model: {Path(error.filename).name} is missing.") from None
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{directory} is damaged ({reason}): train the video model again.") from None
    return model.eval(), dict(config["training"])
