"""World models on disk: config and safetensors, never pickle."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from latentctx_agents.optim import write_weights
from latentctx_agents.world_models.model import WorldModel
from latentctx_envs.encoders.latent.config import WorldModelConfig
from latentctx_envs.encoders.latent.sensors import Sensors

FORMAT_VERSION = 1
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"


def save_world_model(model: WorldModel, directory: Path, training: dict[str, Any]) -> None:
    """Write a world model, replacing the directory in one move.

    Args:
        model: the model.
        directory: where to.
        training: JSON values of how it was trained.
    """
    fresh = directory.with_name(f"{directory.name}.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    config = {
        "format_version": FORMAT_VERSION,
        "family": model.sensors.family,
        "observed": model.sensors.observed,
        "action_dim": model.action_dim,
        "model": asdict(model.config),
        "training": training,
    }
    (fresh / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
    write_weights(fresh / WEIGHTS_FILE, model)
    shutil.rmtree(directory, ignore_errors=True)
    fresh.rename(directory)


def load_world_model(directory: Path) -> tuple[WorldModel, dict[str, Any]]:
    """A world model and the record of its training.

    Raises:
        ValueError: files are missing or damaged.
    """
    try:
        config = json.loads((directory / CONFIG_FILE).read_text())
        if config["format_version"] != FORMAT_VERSION:
            raise ValueError("another format version")
        sensors = Sensors.of(config["family"], config["observed"])
        model = WorldModel(WorldModelConfig(**config["model"]), sensors, config["action_dim"])
        model.load_state_dict(load_file(directory / WEIGHTS_FILE))
    except FileNotFoundError as error:
        raise ValueError(f"{directory} is no world model: {Path(error.filename).name} is missing.") from None
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{directory} is damaged ({reason}): train the world model again.") from None
    return model.eval(), dict(config["training"])
