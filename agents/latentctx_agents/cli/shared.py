"""What several commands do before they begin."""

import os
from pathlib import Path


def check_count(name: str, count: int) -> None:
    """Refuse to measure nothing.

    Raises:
        ValueError: the count is below 1.
    """
    if count < 1:
        raise ValueError(f"{name} must be at least 1; got {count}.")


def check_file(path: Path | None, kind: str = "") -> None:
    """Refuse a place that a file cannot be written to, before anything is done for it.

    Args:
        path: of the file; None for none.
        kind: how its name must end, such as ".gif".

    Raises:
        ValueError: it is a folder or of another kind, or it cannot be written there.
    """
    if path is None:
        return
    if kind and path.suffix != kind:
        raise ValueError(f"what is drawn is written as a {kind}; got {path}.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file in it.")
    if path.exists() and not os.access(path, os.W_OK):
        raise ValueError(f"{path} cannot be written to: choose another place.")
    check_folder(path.parent)


def check_folder(path: Path | None) -> None:
    """Refuse a folder that cannot be made or written to, before anything is done for it.

    Raises:
        ValueError: it lies in a file, is one, or may not be written to.
    """
    if path is None:
        return
    there = next(place for place in (path, *path.parents) if place.exists())
    if not there.is_dir():
        raise ValueError(f"{there} is a file where a folder is wanted: choose another place.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{there} cannot be written to: choose another place.")


def check_csv(path: Path | None) -> None:
    """Refuse a place that results cannot be written to, before anything is measured for them.

    Raises:
        ValueError: see `check_file`, or a file is there that holds something else.
    """
    from latentctx_agents.results import check_results

    check_results(path)
    check_file(path)


def one_thread() -> None:
    """Let PyTorch compute with one thread: small networks, those in a loop over time above all, only wait for a second one."""
    import torch

    torch.set_num_threads(1)
