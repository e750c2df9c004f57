"""Where a trained demonstrator ships: its snapshots, and a card with the command that trains it again."""

import json
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from latentctx_agents.demonstrators import SNAPSHOTS, DemonstratorConfig, earlier
from latentctx_agents.runs import environment, read_metrics
from latentctx_datasets.demonstrators.locomotion import train_command, weights_file
from latentctx_envs.encoders.tensors import write_tensors
from latentctx_envs.replacing import replacing


def command(config: DemonstratorConfig) -> str:
    """The command, or commands, that train and publish this demonstrator."""
    before = [f"{_command(one).replace(' --publish', '')} --out {folder}" for folder, one in earlier(config)]
    return " && ".join([*before, _command(config)])


def _command(config: DemonstratorConfig) -> str:
    chosen = []
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name == "task" or value == field.default:
            continue
        given = (
            [] if isinstance(value, bool) else map(str, np.atleast_1d(value))
        )  # switches are off by default
        chosen.append(" ".join([f"--{field.name.replace('_', '-')}", *given]))
    return " ".join([train_command(config.task), *chosen])


def publish(config: DemonstratorConfig, file: Path, target: Path | None = None) -> Path:
    """Copy the snapshots to where demonstrators ship, with a card of how they were trained; the file.

    Args:
        config: the training.
        file: the snapshots, in the training's run folder.
        target: where to; by default the package's own folder.
    """
    place = target if target is not None else weights_file(config.task)
    place.parent.mkdir(parents=True, exist_ok=True)
    trainings = [*earlier(config), (file.parent, config)]
    card = {
        "command": command(config),
        "decisions": sum(one.decisions for _, one in trainings),
        "config": asdict(config),
        "training_seconds": sum(read_metrics(folder)[-1]["seconds"] for folder, _ in trainings),
        **environment(),
    }
    place.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")
    with replacing(place) as fresh:
        write_tensors(
            fresh, _evenly([(folder / SNAPSHOTS, one) for folder, one in trainings], config.snapshots)
        )
    return place


def _evenly(trainings: list[tuple[Path, DemonstratorConfig]], count: int) -> dict[str, torch.Tensor]:
    """So many snapshots, evenly over all decisions of trainings that follow one another; the last one is the last."""
    stacks = [load_file(file) for file, _ in trainings]
    times, begun = [], 0
    for stack, (_, config) in zip(stacks, trainings, strict=True):
        kept = len(stack["mean"])
        times += [begun + config.decisions * (index + 1) / kept for index in range(kept)]
        begun += config.decisions
    wanted = begun * np.arange(1, count + 1) / count
    chosen = np.minimum(np.searchsorted(times, wanted - 0.5), len(times) - 1)
    return {name: torch.cat([stack[name] for stack in stacks])[chosen] for name in stacks[0]}
