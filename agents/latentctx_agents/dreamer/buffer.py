"""Episodes as they are collected, in memory and on disk, and windows of them."""

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentctx_agents.world_models.model import Observations
from latentctx_envs.replacing import replacing


class Episodes(NamedTuple):
    """Episodes of equal length side by side; row t of an action or a reward belongs to the observation it led to."""

    observations: np.ndarray  # float32 (T + 1, e, d), states
    previous_actions: np.ndarray  # float32 (T + 1, e, a), zeros in the first row
    rewards: np.ndarray  # float32 (T + 1, e), of arriving, 0 in the first row


class Batch(NamedTuple):
    """Windows of T observations, time-major."""

    observations: Observations
    previous_actions: Tensor  # (T, b, a)
    rewards: Tensor  # (T, b)


class EpisodeBuffer:
    """Everything that was collected, one file a round.

    Args:
        directory: of the files; what is there is read.

    Raises:
        ValueError: a file is damaged.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._rounds: list[Episodes] = []
        for file in sorted(directory.glob("round-*.npz")):
            try:
                with np.load(file, allow_pickle=False) as arrays:
                    self._rounds.append(Episodes(*(arrays[name] for name in Episodes._fields)))
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                raise ValueError(
                    f"{file} is damaged: its training cannot go on; take another folder."
                ) from None

    @property
    def rounds(self) -> int:
        """Number of rounds."""
        return len(self._rounds)

    def __len__(self) -> int:
        """Number of episodes."""
        return sum(part.rewards.shape[1] for part in self._rounds)

    def episode(self, number: int) -> Episodes:
        """One episode, the first of the first round being 0, without the axis of episodes.

        Raises:
            IndexError: there are not so many.
        """
        for part in self._rounds:
            count = part.rewards.shape[1]
            if number < count:
                return Episodes(*(array[:, number] for array in part))
            number -= count
        raise IndexError("there are not so many episodes.")

    def keep(self, rounds: int) -> None:
        """Forget later rounds, which a checkpoint does not know of."""
        for index in range(rounds, len(self._rounds)):
            self._file(index).unlink(missing_ok=True)
        del self._rounds[rounds:]

    def add(self, episodes: Episodes) -> None:
        """Keep the episodes of a round."""
        with replacing(self._file(len(self._rounds))) as fresh, fresh.open("wb") as stream:
            np.savez(stream, **episodes._asdict())
        self._rounds.append(episodes)

    def sample(
        self,
        rng: np.random.Generator,
        batch_size: int,
        length: int,
        device: str = "cpu",
        *,
        early: bool = False,
    ) -> Batch:
        """Windows drawn uniformly, with replacement; `early` as in `SequenceSampler`.

        Raises:
            ValueError: episodes are shorter than a window.
        """
        counts = np.array([part.rewards.shape[1] for part in self._rounds])
        drawn = rng.integers(counts.sum(), size=batch_size)
        owner = np.searchsorted(np.cumsum(counts), drawn, side="right")
        column = drawn - (np.cumsum(counts) - counts)[owner]
        steps = len(self._rounds[0].rewards)
        if steps < length:
            raise ValueError(f"episodes have {steps} observations; windows want {length}.")
        begin = rng.integers(-(length - 1) if early else 0, steps - length + 1, size=batch_size).clip(0)
        parts = [
            [array[b : b + length, c] for array in self._rounds[o]]
            for o, c, b in zip(owner, column, begin, strict=True)
        ]
        stacked = [
            torch.from_numpy(np.stack(list(arrays), axis=1)).to(device) for arrays in zip(*parts, strict=True)
        ]
        observations, actions, rewards = stacked
        return Batch(Observations(observations), actions, rewards)

    def _file(self, index: int) -> Path:
        return self._directory / f"round-{index:05d}.npz"
