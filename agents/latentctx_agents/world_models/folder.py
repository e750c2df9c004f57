"""World models on disk."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from latentctx_agents.model_folder import read_model, write_model
from latentctx_agents.world_models.model import WorldModel
from latentctx_envs.encoders.latent.config import WorldModelConfig
from latentctx_envs.encoders.latent.sensors import Sensors


def save_world_model(model: WorldModel, directory: Path, training: dict[str, Any]) -> None:
    """Write a world model, replacing the directory in one move.

    Args:
        model: the model.
        directory: where to.
        training: JSON values of how it was trained.
    """
    facts = {
        "family": model.sensors.family,
        "observed": model.sensors.observed,
        "probed": bool(model.sensors.probed),
        "action_dim": model.action_dim,
        "model": asdict(model.config),
    }
    write_model(model, directory, facts, training)


def load_world_model(directory: Path) -> tuple[WorldModel, dict[str, Any]]:
    """A world model and the record of its training.

    Raises:
        ValueError: files are missing or damaged.
    """

    def make(facts: dict[str, Any]) -> WorldModel:
        sensors = Sensors.of(facts["family"], facts["observed"])
        if not facts.get("probed", True):  # folders of before it said so have their probes
            sensors = sensors.unprobed()
        return WorldModel(WorldModelConfig(**facts["model"]), sensors, facts["action_dim"])

    return read_model(directory, "world model", make)
