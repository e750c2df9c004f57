"""Batches of windows of a store's episodes, for learners that filter or imagine over time."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from latentctx_datasets.batches import arrays_for, chosen_episodes, runs, take
from latentctx_datasets.store import PixelStore, StateStore


class Sequences(NamedTuple):
    """A batch of windows of T consecutive observations, each within one episode.

        pixels            o_t     o_t+1   ...  o_t+T-1
        actions           a_t     a_t+1   ...  a_t+T-1     actions[:, i] leads from pixels[:, i] to the next
        previous_actions  a_t-1   a_t     ...  a_t+T-2     previous_actions[:, i] led to pixels[:, i]
        rewards           r_t     r_t+1   ...  r_t+T-1     rewards[:, i] is what actions[:, i] earned

    No action leads to the first observation of an episode or leaves its last one: zeros.
    """

    pixels: np.ndarray | None  # uint8 (b, T, h, w, 3); None without pixels
    observations: np.ndarray  # float32 (b, T, d), states
    actions: np.ndarray  # float32 (b, T, a)
    previous_actions: np.ndarray  # float32 (b, T, a)
    rewards: np.ndarray  # float32 (b, T)
    is_first: np.ndarray  # bool (b, T), true at the first observation of an episode
    is_last: np.ndarray  # bool (b, T), true at the last one


class SequenceSampler:
    """Uniform windows of some episodes of a store; windows overlap and start anywhere.

    The first observations of an episode lie in few windows, its very first in one. With `early` they are drawn as often as
    later ones: a window that would begin up to T - 1 steps before its episode begins with it.

    Args:
        store: of frames, or of states alone.
        batch_size: b.
        length: T, observations of a window.
        episodes: indices of the episodes to draw from; by default all.
        early: draw windows of an episode's beginning more often, as said above.
        pixels: copy the frames; False for learners on states, which then never touch them.
        rng: all randomness.

    Raises:
        ValueError: no episodes, an index or a number out of range, an episode shorter than a window, or no frames.
    """

    def __init__(
        self,
        store: StateStore,
        *,
        rng: np.random.Generator,
        batch_size: int,
        length: int,
        episodes: Sequence[int] | np.ndarray | None = None,
        early: bool = False,
        pixels: bool = True,
    ) -> None:
        chosen = chosen_episodes(store, episodes)
        if batch_size < 1 or length < 1:
            raise ValueError(f"batch_size and length start at 1; got {batch_size}, {length}.")
        starts, frames = store.starts[chosen], store.lengths[chosen] + 1
        _check_long_enough(chosen, frames, length)
        self._rng = rng
        self._batch_size, self._length = batch_size, length
        if pixels and not isinstance(store, PixelStore):
            raise ValueError(
                "a store of states has no frames: pass pixels=False, or open it with open_store."
            )
        self._frames = np.asarray(store.frames) if isinstance(store, PixelStore) and pixels else None
        self._observations, self._actions = np.asarray(store.observations), np.asarray(store.actions)
        self._rewards = np.asarray(store.rewards)
        before = length - 1 if early else 0
        windows = before + frames - length + 1
        self._first = np.repeat(starts, windows)  # index of the episode's first frame
        self._begin = np.maximum(runs(starts, windows) - before, self._first)
        self._last = np.repeat(starts + frames - 1, windows)
        self._form = self._make_form()

    def __len__(self) -> int:
        """Number of windows to draw from; with `early` those at a beginning count more than once."""
        return len(self._begin)

    def sample(self, out: Sequences | None = None) -> Sequences:
        """One batch.

        Args:
            out: an earlier batch of this sampler that is overwritten and returned; by default a new one.

        Raises:
            ValueError: `out` is of another form.
        """
        arrays = arrays_for(self._form, out)
        batch = Sequences(*arrays) if self._frames is not None else Sequences(None, *arrays)
        drawn = self._rng.integers(len(self._begin), size=self._batch_size)
        begin = self._begin[drawn]
        rows = begin[:, None] + np.arange(self._length)
        np.equal(rows, self._first[drawn][:, None], out=batch.is_first)
        np.equal(rows, self._last[drawn][:, None], out=batch.is_last)
        take(self._observations, rows, batch.observations)
        take(self._actions, rows, batch.actions)
        take(self._actions, rows - 1, batch.previous_actions)
        take(self._rewards, rows, batch.rewards)
        batch.actions[batch.is_last] = 0.0
        batch.rewards[batch.is_last] = 0.0
        batch.previous_actions[batch.is_first] = 0.0
        if self._frames is not None and batch.pixels is not None:
            for window, row in zip(batch.pixels, begin.tolist(), strict=True):
                window[...] = self._frames[row : row + self._length]  # one move of contiguous memory
        return batch

    def _make_form(self) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        window = (self._batch_size, self._length)
        actions = ((*window, *self._actions.shape[1:]), self._actions.dtype)
        form: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        if self._frames is not None:
            form["pixels"] = ((*window, *self._frames.shape[1:]), self._frames.dtype)
        form["observations"] = ((*window, *self._observations.shape[1:]), self._observations.dtype)
        form |= {"actions": actions, "previous_actions": actions}
        form["rewards"] = (window, self._rewards.dtype)
        return form | {name: (window, np.dtype(bool)) for name in ("is_first", "is_last")}


def _check_long_enough(chosen: np.ndarray, frames: np.ndarray, length: int) -> None:
    if frames.min() < length:
        shortest = int(frames.argmin())
        raise ValueError(
            f"a window of {length} observations does not fit into episode {chosen[shortest]}, which has "
            f"{frames[shortest]}: choose episodes with store.lengths + 1 >= {length}, or a shorter length."
        )
