"""Batches of transitions from a pixel store: index arithmetic, one copy of the frames, uint8 until the device."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from latentctx_datasets.batches import arrays_for, chosen_episodes, runs, take
from latentctx_datasets.shifts import draw_shifts, shift_into
from latentctx_datasets.store import PixelStore


class Transitions(NamedTuple):
    """A batch of transitions (o_t, a_t .. a_t+n-1, o_t+n)."""

    pixels: np.ndarray  # uint8 (b, h, w, 3)
    actions: np.ndarray  # float32 (b, n, a); past the end of an episode the last action repeats
    next_pixels: np.ndarray  # uint8 (b, h, w, 3); past the end the last frame repeats


class TransitionSampler:
    """Uniform transitions of some episodes of a store.

    Args:
        store: the pixel store.
        episodes: indices of the episodes to draw from; by default all.
        batch_size: b.
        n_step: n, distance of the second frame [steps].
        pad: largest random shift [pixels]; 0 for none.
        shared_shift: shift both frames of a transition alike (the paper shifts them independently).
        same_frame: let the second frame be another view of the first (static objectives).
        rng: all randomness.

    Raises:
        ValueError: no episodes, or an index or a number out of range.
    """

    def __init__(
        self,
        store: PixelStore,
        *,
        rng: np.random.Generator,
        batch_size: int,
        episodes: Sequence[int] | np.ndarray | None = None,
        n_step: int = 1,
        pad: int = 0,
        shared_shift: bool = False,
        same_frame: bool = False,
    ) -> None:
        chosen = chosen_episodes(store, episodes)
        if batch_size < 1 or n_step < 1 or pad < 0:
            raise ValueError(
                f"batch_size and n_step start at 1, pad at 0; got {batch_size}, {n_step}, {pad}."
            )
        self._rng = rng
        self._batch_size, self._n_step, self._pad = batch_size, n_step, pad
        self._shared_shift, self._same_frame = shared_shift, same_frame
        # plain views of the mapped files: each indexing of a np.memmap makes a new subclass instance
        self._frames, self._actions = np.asarray(store.frames), np.asarray(store.actions)
        lengths = store.lengths[chosen]
        self._first = runs(store.starts[chosen], lengths)
        self._last = np.repeat(store.starts[chosen] + lengths, lengths)  # index of the episode's last frame
        frames = ((batch_size, *self._frames.shape[1:]), self._frames.dtype)
        actions = ((batch_size, n_step, *self._actions.shape[1:]), self._actions.dtype)
        self._form = {"pixels": frames, "actions": actions, "next_pixels": frames}

    def __len__(self) -> int:
        """Number of transitions to draw from."""
        return len(self._first)

    def sample(self, out: Transitions | None = None) -> Transitions:
        """One batch.

        Args:
            out: an earlier batch of this sampler that is overwritten and returned; by default a new one.

        Raises:
            ValueError: `out` is of another form.
        """
        batch = Transitions(*arrays_for(self._form, out))
        drawn = self._rng.integers(len(self._first), size=self._batch_size)
        first, last = self._first[drawn], self._last[drawn]
        steps = first[:, None] + np.arange(self._n_step)
        take(self._actions, np.minimum(steps, last[:, None] - 1), batch.actions)
        second = first if self._same_frame else np.minimum(first + self._n_step, last)
        if self._pad == 0:
            take(self._frames, first, batch.pixels)
            take(self._frames, second, batch.next_pixels)
        else:
            self._shifted(first, second, batch)
        return batch

    def _shifted(self, first: np.ndarray, second: np.ndarray, batch: Transitions) -> None:
        shifts = draw_shifts(self._batch_size, self._pad, self._rng)
        shift_into(batch.pixels, (self._frames[row] for row in first.tolist()), shifts)
        if not self._shared_shift:
            shifts = draw_shifts(self._batch_size, self._pad, self._rng)
        shift_into(batch.next_pixels, (self._frames[row] for row in second.tolist()), shifts)
