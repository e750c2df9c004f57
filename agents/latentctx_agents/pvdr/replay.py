"""Experience of the online stage as tokens and actions, drawn from as windows."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


@dataclass
class Episode:
    """One episode of one environment, growing."""

    frames: list[np.ndarray] = field(default_factory=list)  # tokens int16 (64,) of each observation
    actions: list[np.ndarray] = field(default_factory=list)  # float32 (a,); actions[t] led to frames[t + 1]


class Replay:
    """All episodes so far; the running ones count as far as they got.

    Args:
        count: environments.
        context: m; the first frame of an episode stands for those before it.
        future: n.
    """

    def __init__(self, count: int, context: int, future: int) -> None:
        self._context, self._future = context, future
        self.episodes: list[Episode] = []
        self._running: list[Episode | None] = [None] * count

    def begin(self, row: int, tokens: np.ndarray) -> None:
        """An episode of an environment begins with these tokens (64,)."""
        episode = Episode(frames=[tokens])
        self._running[row] = episode
        self.episodes.append(episode)

    def add(self, row: int, action: np.ndarray, tokens: np.ndarray) -> None:
        """An action (a,) led an environment to tokens (64,)."""
        episode = self._running[row]
        assert episode is not None
        episode.actions.append(np.asarray(action, np.float32))
        episode.frames.append(tokens)

    def sample(self, rng: np.random.Generator, batch_size: int) -> tuple[Tensor, Tensor]:
        """Windows int64 (b, m + n, 64) and the action (b, a) that followed the last frame of each context.

        Raises:
            ValueError: no episode has n steps yet.
        """
        long = [episode for episode in self.episodes if len(episode.actions) >= self._future]
        if not long:
            raise ValueError(f"no episode has {self._future} steps yet: longer episodes or a shorter future.")
        counts = np.array([len(episode.actions) - self._future + 1 for episode in long])
        chosen = rng.choice(len(long), size=batch_size, p=counts / counts.sum())
        times = rng.integers(counts[chosen])
        offsets = np.arange(1 - self._context, self._future + 1)
        windows = [
            np.stack([long[i].frames[max(0, t + o)] for o in offsets])
            for i, t in zip(chosen, times, strict=True)
        ]
        actions = [long[i].actions[t] for i, t in zip(chosen, times, strict=True)]
        return torch.from_numpy(np.stack(windows).astype(np.int64)), torch.from_numpy(np.stack(actions))

    def pairs(self, rng: np.random.Generator, batch_size: int, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
        """Two frames of one episode and what was done between them.

        Args:
            rng: draws them.
            batch_size: b.
            horizon: steps between the two, at most.

        Returns:
            Tokens int64 (b, 64) of the earlier and of the later frame, and the sum of the actions between them, (b, a).

        Raises:
            ValueError: no episode has a step yet.
        """
        long = [episode for episode in self.episodes if episode.actions]
        if not long:
            raise ValueError("no episode has a step yet.")
        counts = np.array([len(episode.actions) for episode in long])
        chosen = rng.choice(len(long), size=batch_size, p=counts / counts.sum())
        starts = rng.integers(counts[chosen])
        ends = np.minimum(starts + rng.integers(1, horizon + 1, size=batch_size), counts[chosen])
        rows = list(zip(chosen, starts, ends, strict=True))
        first, last = (np.stack([long[i].frames[t[k]] for i, *t in rows]).astype(np.int64) for k in (0, 1))
        done = np.stack([np.sum(long[i].actions[start:end], axis=0) for i, start, end in rows])
        return torch.from_numpy(first), torch.from_numpy(last), torch.from_numpy(done)
