"""Checkpoints of trainings: tensors, JSON values and the states of all random generators in one file, without pickle."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from latentctx_envs.encoders.tensors import write_tensors
from latentctx_envs.replacing import replacing

CHECKPOINT_FILE = "checkpoint.safetensors"
CPU_STATE, GPU_STATE = "torch_rng", "torch_cuda_rng"  # of torch's generators, in a checkpoint


def write_checkpoint(
    path: Path, tensors: Mapping[str, Tensor], *, rng: np.random.Generator, facts: Mapping[str, Any]
) -> None:
    """Tensors, the states of all random generators and JSON values, in one move."""
    state = {"facts": json.dumps(dict(facts)), "rng": json.dumps(rng.bit_generator.state)}
    with replacing(path) as fresh:
        write_tensors(fresh, {**tensors, **torch_states()}, metadata=state)


def torch_states() -> dict[str, Tensor]:
    """Of torch's generators: the processor's and, where one is in use, that of the current GPU."""
    states = {CPU_STATE: torch.get_rng_state()}
    if torch.cuda.is_initialized():
        states[GPU_STATE] = torch.cuda.get_rng_state()
    return states


def set_torch_states(states: Mapping[str, Tensor]) -> None:
    """Bring torch's generators to what `torch_states` gave."""
    torch.set_rng_state(states[CPU_STATE])
    if GPU_STATE in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states[GPU_STATE])


@contextmanager
def read_checkpoint(
    path: Path, *, rng: np.random.Generator
) -> Iterator[tuple[dict[str, Tensor], dict[str, Any]]]:
    """What `write_checkpoint` wrote, for a block that continues from it; then all generators continue, too.

    Raises:
        ValueError: the file is damaged, or the block finds that it belongs to another training.
    """
    try:
        tensors, state = load_file(path), _metadata(path)
        states = {name: tensors.pop(name) for name in (CPU_STATE, GPU_STATE) if name in tensors}
        yield tensors, json.loads(state["facts"])
        rng.bit_generator.state = json.loads(state["rng"])
        set_torch_states(states)
    except Exception as error:  # safetensors, json and torch raise many types on damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} does not fit this training ({reason}): remove it to start over.") from None


def forget_checkpoint(*directories: Path) -> None:
    """Remove the checkpoint of a training whose result is kept.

    Also where the result is found: a training that was killed just after it was kept leaves a checkpoint.
    """
    for directory in directories:
        (directory / CHECKPOINT_FILE).unlink(missing_ok=True)


def _metadata(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        return file.metadata()
