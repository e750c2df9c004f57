"""Other people's files of one trajectory each: their arrays, checked, and the episode that they hold."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from latentctx_datasets.library import DatasetError
from latentctx_datasets.writing import Record, record


def read_rows(path: Path, names: tuple[str, ...], *, optional: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Some arrays of a trajectory, all with a row an observation.

    Args:
        path: an npz file.
        names: of the arrays.
        optional: names of further ones, which may be missing.

    Raises:
        DatasetError: the file is damaged, an array is missing, or their rows differ in number.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            found = [*names, *(name for name in optional if name in file)]
            rows = {name: file[name] for name in found}
    except KeyError as error:
        raise DatasetError(
            f"{path} is no such trajectory: {error.args[0]}; expected {', '.join(names)}."
        ) from None
    except Exception as error:  # zipfile, zlib and NumPy raise many types on damaged files
        raise DatasetError(f"{path} is damaged ({(str(error).splitlines() or ['empty'])[0]}).") from None
    counts = {name: len(array) if array.ndim else 0 for name, array in rows.items()}
    if len(set(counts.values())) != 1 or min(counts.values()) < 2:
        raise DatasetError(
            f"{path} must have the same number of rows, at least 2, in each array; got {counts}."
        )
    return rows


def check_rows(
    path: Path,
    rows: Mapping[str, np.ndarray],
    *,
    numbers: Sequence[str] = (),
    vectors: Mapping[str, int] | None = None,
    frames: Mapping[str, tuple[int, ...]] | None = None,
) -> dict[str, np.ndarray]:
    """The arrays of a trajectory; what is one number a row without a last axis.

    Args:
        path: their file, for messages.
        rows: name -> array with a row an observation.
        numbers: names of those with one number a row.
        vectors: name -> how many numbers a row.
        frames: name -> (height, width, 3).

    Raises:
        DatasetError: an array has another shape or type, or holds nan or infinity.
    """
    checked = dict(rows)
    for name in numbers:
        if rows[name].size != len(rows[name]):
            raise DatasetError(f"{path}: {name} must be one number a row; got shape {rows[name].shape}.")
        checked[name] = rows[name].reshape(-1)
    for name, size in (vectors or {}).items():
        if rows[name].shape[1:] != (size,):
            raise DatasetError(
                f"{path}: {name} must have {size} numbers a row; got shape {rows[name].shape}."
            )
    for name, shape in (frames or {}).items():
        if rows[name].dtype != np.uint8 or rows[name].shape[1:] != shape:
            raise DatasetError(
                f"{path}: {name} must be uint8 frames of {' x '.join(map(str, shape))}; got {rows[name].dtype} of "
                f"shape {rows[name].shape}."
            )
    for name in (*numbers, *(vectors or {})):
        if rows[name].dtype.kind not in "fiub" or not np.isfinite(rows[name]).all():
            raise DatasetError(f"{path}: {name} holds nan, infinity or no numbers.")
    return checked


def record_of_rows(
    observations: np.ndarray,
    previous_actions: np.ndarray,
    rewards: np.ndarray,
    terminal: np.ndarray,
    *,
    space: spaces.Box,
    context: dict[str, Any],
    **facts: Any,
) -> Record:
    """An episode of T actions from rows, each of which holds what led to its observation; the first led to nothing.

    Args:
        observations: (T + 1, ...).
        previous_actions: (T + 1, a), clipped to the bounds of the world, as the world does.
        rewards: (T + 1,).
        terminal: (T + 1,), true where the episode ended by itself; else it was cut off.
        space: of the world's actions.
        context: of the episode.
        facts: further metadata.
    """
    terminations = terminal[1:].astype(bool)
    truncations = np.zeros_like(terminations)
    truncations[-1] = not terminations[-1]
    arrays = {
        "observations": observations,
        "actions": np.clip(previous_actions[1:].astype(np.float32), space.low, space.high),
        "rewards": rewards[1:].astype(np.float64),
        "terminations": terminations,
        "truncations": truncations,
    }
    return record(arrays, context=context, demonstrator="unknown", **facts)
