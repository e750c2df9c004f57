"""Trained demonstrators of the locomotion worlds: small networks in numpy, read from safetensors.

A file holds K snapshots of one training, evenly spaced over it; the last is the expert, all of them together play the
replay datasets. Where "angle" is among the tensors, that entry of the state is read as its sine and cosine. Weights are kept as float16 and computed in float64: the action, rounded to float32, is then the same
whatever the batch and (but for one action in a billion) whatever the processor, so that datasets rebuild to their hash.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from latentctx_envs.extras import require

WEIGHTS = Path(__file__).parent / "weights"
ALGORITHM = "ppo"
CLIP = 10.0  # normalised observations are cut to [-10, 10], as in training
LAYERS = ("hidden0", "hidden1", "action")

ENV_IDS: dict[str, str] = {
    "cheetah-run": "LatentCtx-CheetahRun-v0",
    "cheetah-run-backward": "LatentCtx-CheetahRunBackward-v0",
    "cheetah-flip": "LatentCtx-CheetahFlip-v0",
    "cheetah-flip-backward": "LatentCtx-CheetahFlipBackward-v0",
    "walker-stand": "LatentCtx-WalkerStand-v0",
    "walker-walk": "LatentCtx-WalkerWalk-v0",
    "walker-run": "LatentCtx-WalkerRun-v0",
    "walker-walk-backward": "LatentCtx-WalkerWalkBackward-v0",
    "walker-run-backward": "LatentCtx-WalkerRunBackward-v0",
    "walker-flip": "LatentCtx-WalkerFlip-v0",
    "walker-flip-backward": "LatentCtx-WalkerFlipBackward-v0",
    "walker-jump": "LatentCtx-WalkerJump-v0",
}
"""Name of a task's demonstrator (without `-ppo`) -> the world it acts in."""


def weights_file(task: str) -> Path:
    """Where the snapshots of a task's demonstrator lie if they ship.

    Raises:
        ValueError: there is no such task.
    """
    if task not in ENV_IDS:
        raise ValueError(f"trained demonstrators act in {', '.join(ENV_IDS)}; got {task!r}.")
    return WEIGHTS / f"{task}-{ALGORITHM}.safetensors"


def train_command(task: str) -> str:
    """The command that trains a task's demonstrator."""
    return f"latentctx demonstrator train {task} --publish"


class TrainedPolicy:
    """The mean action of a trained policy on state observations.

    Args:
        source: a task's name such as "cheetah-run", or a safetensors file that `latentctx demonstrator train` wrote.
        snapshot: which of the K snapshots; the last is the expert.

    Raises:
        ValueError: no such task or file, the file is damaged, or it has no such snapshot.
    """

    def __init__(self, source: str | Path, snapshot: int = -1) -> None:
        tensors = read_snapshots(source)
        count = len(tensors["mean"])
        if not -count <= snapshot < count:
            raise ValueError(f"{source} has {count} snapshots; got snapshot={snapshot}.")
        self._mean, self._std = tensors["mean"][snapshot], tensors["std"][snapshot]
        self._angle = int(tensors["angle"][snapshot, 0]) if "angle" in tensors else None
        self._layers = [
            (tensors[f"{name}.weight"][snapshot].T, tensors[f"{name}.bias"][snapshot]) for name in LAYERS
        ]

    def reset(self) -> None:
        """Nothing is remembered between episodes."""

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        """Action(s), float32 (..., a) in [-1, 1], for state observation(s) (..., d)."""
        state = np.asarray(observation, dtype=np.float64)
        if self._angle is not None:
            state = with_phase(state, self._angle)
        values = np.clip((state - self._mean) / self._std, -CLIP, CLIP)
        for weight, bias in self._layers[:-1]:
            values = np.tanh(values @ weight + bias)
        weight, bias = self._layers[-1]
        return np.clip(values @ weight + bias, -1.0, 1.0).astype(np.float32)


def with_phase(states: np.ndarray, angle: int) -> np.ndarray:
    """States (..., d) whose angle gives way to its sine and cosine, (..., d + 1).

    A trunk that turns over has an angle that grows with every turn; a small network cannot read its phase from it.
    """
    turned = states[..., angle : angle + 1]
    return np.concatenate([np.delete(states, angle, axis=-1), np.sin(turned), np.cos(turned)], axis=-1)


def snapshot_count(source: str | Path) -> int:
    """K, the number of snapshots of a demonstrator."""
    return len(read_snapshots(source)["mean"])


def read_snapshots(source: str | Path) -> dict[str, np.ndarray]:
    """The stacked weights of all snapshots, float64, each with K in front.

    Raises:
        ValueError: no such task or file, or the file is damaged.
    """
    path = weights_file(source) if isinstance(source, str) and source in ENV_IDS else Path(source)
    require("safetensors", "agents")
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
        wanted = {"mean", "std", *(f"{name}.{part}" for name in LAYERS for part in ("weight", "bias"))}
        if set(tensors) - {"angle"} != wanted or len({len(tensor) for tensor in tensors.values()}) != 1:
            raise ValueError(f"it must hold {', '.join(sorted(wanted))}")
    except FileNotFoundError:
        how = (
            train_command(str(source)) if source in ENV_IDS else "latentctx demonstrator train TASK --publish"
        )
        raise ValueError(f"no demonstrator at {path}: train it with `{how}`.") from None
    except (SafetensorError, ValueError, OSError) as error:
        raise ValueError(f"{path} is no demonstrator ({str(error).splitlines()[0]}).") from None
    return {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
