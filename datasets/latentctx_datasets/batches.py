"""What the samplers share: which episodes, and arrays for a batch, new or used again.

A fresh array of tens of megabytes costs its page faults again at each batch, about as much as the copy into it. So
`sample(out=batch)` writes into an earlier batch, which the caller must be done with; without `out` every batch is new.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from latentctx_datasets.store import StateStore

Form = Mapping[str, tuple[tuple[int, ...], np.dtype]]  # name of an array -> its shape and type


def chosen_episodes(store: StateStore, episodes: Sequence[int] | np.ndarray | None) -> np.ndarray:
    """Indices of the episodes to draw from, int (e,); all of the store's for None.

    Raises:
        ValueError: no episodes, or an index out of range.
    """
    chosen = np.arange(len(store)) if episodes is None else np.asarray(episodes)
    numbers = chosen.size > 0 and chosen.dtype.kind in "iu"  # a mask of bools would draw from 0 and 1
    if not numbers or chosen.min() < 0 or chosen.max() >= len(store):
        raise ValueError(f"episodes must be indices below {len(store)}; got {chosen.tolist()[:5]}.")
    return chosen


def runs(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """start, start + 1, .. start + length - 1 of each episode, one after the other."""
    return np.concatenate([start + np.arange(n) for start, n in zip(starts, lengths, strict=True)])


def arrays_for(form: Form, out: tuple[np.ndarray | None, ...] | None) -> list[np.ndarray]:
    """Arrays of this form: new ones, or those of an earlier batch.

    Raises:
        ValueError: the earlier batch is of another form or not contiguous.
    """
    if out is None:
        return [np.empty(shape, dtype) for shape, dtype in form.values()]
    given = [array for array in out if array is not None]
    fits = len(given) == len(form) and all(
        array.shape == shape and array.dtype == dtype and array.flags.c_contiguous and array.flags.writeable
        for array, (shape, dtype) in zip(given, form.values(), strict=True)
    )
    if not fits:
        wanted = ", ".join(f"{name} {dtype} {shape}" for name, (shape, dtype) in form.items())
        raise ValueError(f"out must be an earlier batch of this sampler: contiguous {wanted}.")
    return given


def take(source: np.ndarray, rows: np.ndarray, out: np.ndarray) -> None:
    """Copy rows of `source` to `out`; rows below 0 or past the end become the nearest one."""
    # with any other mode NumPy fills a buffer of the batch's size first, in case an index is bad
    np.take(source, rows, axis=0, out=out, mode="clip")
