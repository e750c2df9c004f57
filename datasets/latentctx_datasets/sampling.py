"""Batches from a pixel store: index arithmetic, one gather, uint8 until the device."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from latentctx_datasets.store import PixelStore


class Transitions(NamedTuple):
    """A batch of transitions (o_t, a_t .. a_t+n-1, o_t+n)."""

    pixels: np.ndarray  # uint8 (b, h, w, 3)
    actions: np.ndarray  # float32 (b, n, a); past the end of an episode the last action repeats
    next_pixels: np.ndarray  # uint8 (b, h, w, 3); past the end the last frame repeats


def random_shift(pixels: np.ndarray, pad: int, rng: np.random.Generator) -> np.ndarray:
    """Each image shifted by up to `pad` pixels on both axes, edges repeated; a new uint8 array.

    Args:
        pixels: uint8 (b, h, w, 3).
        pad: largest shift [pixels]; 0 returns `pixels` itself.
        rng: where the shifts come from.
    """
    if pad == 0:
        return pixels
    limits = np.array(pixels.shape[1:3]) - 1  # beyond them nothing but the edge is left
    shifts = rng.integers(2 * pad + 1, size=(len(pixels), 2)) - pad
    out = np.empty_like(pixels, order="C", subok=False)
    for image, source, (down, right) in zip(
        out, pixels, np.clip(shifts, -limits, limits).tolist(), strict=True
    ):
        _shift(image, source, down, right)
    return out


def _shift(image: np.ndarray, source: np.ndarray, down: int, right: int) -> None:
    """Write pixel (y + down, x + right) of `source` to (y, x) of `image`, which is contiguous; edges repeat."""
    height, width, channels = source.shape
    offset = (down * width + right) * channels
    written, read = image.reshape(-1), source.reshape(-1)
    if offset >= 0:  # one move along the memory shifts both axes; what wraps around is written over below
        written[: read.size - offset] = read[offset:]
    else:
        written[-offset:] = read[:offset]
    top, bottom = max(0, -down), height - max(0, down)  # rows of `image` whose source row exists
    if right < 0:
        image[top:bottom, :-right] = source[top + down : bottom + down, :1]
    elif right > 0:
        image[top:bottom, -right:] = source[top + down : bottom + down, -1:]
    if down < 0:
        image[:top] = image[top]
    elif down > 0:
        image[bottom:] = image[bottom - 1]


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
        chosen = np.arange(len(store)) if episodes is None else np.asarray(episodes)
        numbers = chosen.size > 0 and chosen.dtype.kind in "iu"  # a mask of bools would draw from 0 and 1
        if not numbers or chosen.min() < 0 or chosen.max() >= len(store):
            raise ValueError(f"episodes must be indices below {len(store)}; got {chosen.tolist()[:5]}.")
        if batch_size < 1 or n_step < 1 or pad < 0:
            raise ValueError(
                f"batch_size and n_step start at 1, pad at 0; got {batch_size}, {n_step}, {pad}."
            )
        self._store = store
        self._rng = rng
        self._batch_size, self._n_step, self._pad = batch_size, n_step, pad
        self._shared_shift, self._same_frame = shared_shift, same_frame
        lengths = store.lengths[chosen]
        self._first = np.concatenate(
            [start + np.arange(n) for start, n in zip(store.starts[chosen], lengths, strict=True)]
        )
        self._last = np.repeat(store.starts[chosen] + lengths, lengths)  # index of the episode's last frame

    def __len__(self) -> int:
        """Number of transitions to draw from."""
        return len(self._first)

    def sample(self) -> Transitions:
        """One batch."""
        drawn = self._rng.integers(len(self._first), size=self._batch_size)
        first, last = self._first[drawn], self._last[drawn]
        steps = first[:, None] + np.arange(self._n_step)
        actions = self._store.actions[np.minimum(steps, last[:, None] - 1)]
        pixels = self._store.frames[first]
        second = first if self._same_frame else np.minimum(first + self._n_step, last)
        following = self._store.frames[second]
        if self._pad and self._shared_shift:
            both = random_shift(np.concatenate([pixels, following], axis=-1), self._pad, self._rng)
            pixels, following = np.split(both, 2, axis=-1)
        elif self._pad:
            pixels = random_shift(pixels, self._pad, self._rng)
            following = random_shift(following, self._pad, self._rng)
        return Transitions(pixels, actions, following)
