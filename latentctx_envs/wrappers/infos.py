"""Gymnasium's batched infos taken apart: one plain dict for each environment."""

from typing import Any

import numpy as np


def split_infos(infos: dict[str, Any], num_envs: int) -> list[dict[str, Any]]:
    """A dict for each of N environments, as the single environments gave them.

    A column is taken apart at once, which is much cheaper than a row at a time. Numbers and bools become Python's,
    rows of arrays are copies, dicts are taken apart as well.

    Args:
        infos: for each key an array of N values (or a dict of such) and, under `_key`, a bool mask (N,) of those set.
        num_envs: N.
    """
    rows: list[dict[str, Any]] = [{} for _ in range(num_envs)]
    for key, values in infos.items():
        if key.startswith("_") and key[1:] in infos:
            continue
        column, mask = _column(values, num_envs), infos.get(f"_{key}")
        if mask is None or mask.all():
            for row, value in zip(rows, column, strict=True):
                row[key] = value
        else:
            for index in np.flatnonzero(mask).tolist():
                rows[index][key] = column[index]
    return rows


def _column(values: Any, num_envs: int) -> list[Any]:
    if isinstance(values, dict):
        return split_infos(values, num_envs)
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return values.tolist()  # an array of objects gives the objects themselves
    return list(np.array(values))  # rows of one copy
