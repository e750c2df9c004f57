"""World models on disk."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from latentctx_agents.model_folder import read_model, write_model
from latentctx_agents.world_models.model import WorldModel
from latentctx_envs.encoders.latent.config import WorldModelConfig
from latentctx_envs.encoders.latent.sensors import Sensors


def facts_of(model: WorldModel) -> dict[str, Any]:
    """JSON values from which `model_of` makes such a model again."""
    return {
        "family": model.sensors.family,
        "observed": model.sensors.observed,
        "probed": bool(model.sensors.probed),
        "action_dim": model.action_dim,
        "state_dim": model.sensors.state_dim,
        "model": asdict(model.config),
    }


def model_of(facts: Mapping[str, Any]) -> WorldModel:
    """A world model as `facts_of` told of it, with any weights.

    Raises:
        ValueError, KeyError, TypeError: something is missing or out of range.
    """
    sensors = Sensors.of(facts["family"], facts["observed"], facts.get("state_dim"))
    if not facts.get("probed", True):  # folders of before it said so have their probes
        sensors = sensors.unprobed()
    return WorldModel(WorldModelConfig(**facts["model"]), sensors, facts["action_dim"])


def save_world_model(model: WorldModel, directory: Path, training: dict[str, Any]) -> None:
    """Write a world model, replacing the directory in one move.

    Args:
        model: the model.
        directory: where to.
        training: JSON values of how it was trained.
    """
    write_model(model, directory, facts_of(model), training)


def load_world_model(directory: Path) -> tuple[WorldModel, dict[str, Any]]:
    """A world model and the record of its training.

    Raises:
        ValueError: files are missing or damaged.
    """
    return read_model(directory, "world model", model_of)
