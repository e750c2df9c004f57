"""Cache folders of mapped arrays: built once under a lock, resumed after a kill, verified when they are opened.

<key>/           name.npy for each array, manifest.json (sizes and sha256), verified.json (stamps of the last check),
                 source.json (that of the file it was made of)
<key>.partial/   the same while it is built, with the chunks that are done in `done`
<key>.lock       held by the process that builds
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from latentctx_datasets.library import DatasetError
from latentctx_envs.locks import locked

MANIFEST, STAMP, SOURCE, DONE = "manifest.json", "verified.json", "source.json", "done"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What the folders of a cache are."""

    name: str  # in messages, e.g. "pixel store"
    arrays: tuple[str, ...]  # names of its files
    format_version: int  # of the layout; another one is not read
    remedy: str  # what happens once a damaged folder is removed


def cache_root() -> Path:
    """Folder of all caches: `LATENTCTX_CACHE`, else `~/.cache/latentctx`."""
    path = os.environ.get("LATENTCTX_CACHE")
    return Path(path) if path is not None else Path.home() / ".cache" / "latentctx"


def digest_of(parts: dict[str, Any]) -> str:
    """Name of a folder that changes with any of these JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def ensure(path: Path, kind: Kind, build: Callable[[Path], dict[str, Any]]) -> None:
    """Build the folder unless it is there; other processes wait meanwhile.

    Args:
        path: the finished folder.
        kind: what it is.
        build: writes every array into the partial folder, going on where a killed build ended; returns what else
            goes into the manifest.
    """
    if path.is_dir():
        return
    with locked(path):
        if path.is_dir():  # another process has built it meanwhile
            return
        partial = path.with_name(f"{path.name}.partial")
        partial.mkdir(parents=True, exist_ok=True)
        facts = build(partial)
        files = {name: partial / f"{name}.npy" for name in kind.arrays}
        manifest = {
            "format_version": kind.format_version,
            "key": path.name,
            **facts,
            "sha256": {name: _digest(file) for name, file in files.items()},
            "bytes": {name: file.stat().st_size for name, file in files.items()},
        }
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        (partial / DONE).unlink(missing_ok=True)
        partial.rename(path)
        _write_stamp(path, kind)


def allocate(directory: Path, name: str, dtype: type, shape: tuple[int, ...], kind: Kind) -> Path:
    """The file of a large array, made if a killed build has not made it already.

    Raises:
        DatasetError: the disk has no room for it.
    """
    path = directory / f"{name}.npy"
    if not path.exists():
        free, needed = shutil.disk_usage(directory).free, int(np.prod(shape)) * np.dtype(dtype).itemsize
        if free < needed:
            raise _no_room(directory, kind, needed - free)
        np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape).flush()
    _reserve(path, kind)
    return path


def _reserve(path: Path, kind: Kind) -> None:
    """Take the blocks of a mapped file now: a disk that is full later would end the process that writes (SIGBUS)."""
    status = path.stat()
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, status.st_size)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            free = shutil.disk_usage(path.parent).free
            raise _no_room(path.parent, kind, status.st_size - 512 * status.st_blocks - free) from None


def _no_room(directory: Path, kind: Kind, missing: int) -> DatasetError:
    return DatasetError(
        f"the {kind.name} needs {max(missing, 1) / 1e6:,.1f} MB more in {directory.parent} than are free: "
        "make room or set LATENTCTX_CACHE to a larger disk."
    )


def missing_chunks(partial: Path, total: int, size: int) -> list[tuple[int, int]]:
    """(first, last + 1) of the chunks that no earlier build has finished."""
    file = partial / DONE
    done = set(file.read_text().split()) if file.exists() else set()
    return [(n, min(n + size, total)) for n in range(0, total, size) if str(n) not in done]


def record_chunks(
    partial: Path, finished: Iterable[tuple[int, int]], *, done: int, total: int, label: str, unit: str
) -> None:
    """Write down each chunk as it is finished, with a progress bar.

    Args:
        partial: the folder that is built.
        finished: yields (first, last + 1) of a chunk when its rows are in the file.
        done: units that an earlier build has finished.
        total: units in all.
        label: of the progress bar.
        unit: of the progress bar.
    """
    bar = tqdm(total=total, initial=done, desc=label, unit=unit, delay=1)
    with (partial / DONE).open("a") as log, bar:
        for first, last in finished:
            log.write(f"{first}\n")
            log.flush()
            bar.update(last - first)


def open_arrays(path: Path, kind: Kind) -> list[np.ndarray]:
    """The arrays in the order of the kind's names, mapped read-only."""
    return [np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in kind.arrays]


def verified_manifest(path: Path, kind: Kind, check: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The manifest, after checking every array against it.

    A file whose size and modification time are those of the last full check is not hashed again.

    Args:
        path: the finished folder.
        kind: what it is.
        check: reads the rest of the manifest; raises a KeyError or TypeError if it cannot.

    Raises:
        DatasetError: the manifest or an array is missing or was changed.
    """
    advice = f"remove {path} and {kind.remedy}"
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        if manifest["format_version"] != kind.format_version or manifest["key"] != path.name:
            raise KeyError("format_version")
        check(manifest)
        wanted = {name: (manifest["bytes"][name], manifest["sha256"][name]) for name in kind.arrays}
    except (OSError, ValueError, KeyError, TypeError):
        raise DatasetError(f"the {kind.name}'s manifest is missing or damaged: {advice}.") from None
    stamps = _read_stamps(path)
    stale = [name for name in kind.arrays if stamps.get(name) != stamp(path / f"{name}.npy")]
    for name in stale:
        file, (count, digest) = path / f"{name}.npy", wanted[name]
        size = file.stat().st_size if file.exists() else 0
        if size != count:
            raise DatasetError(
                f"the {kind.name}'s {file.name} has {size} bytes instead of {count}: {advice}."
            )
        if _digest(file) != digest:
            raise DatasetError(f"the {kind.name}'s {file.name} was changed since it was built: {advice}.")
    if stale:
        _write_stamp(path, kind)
    return manifest


def once_for(path: Path, source: Path, check: Callable[[], object]) -> None:
    """Call a check of the file that a folder was made of, unless it has passed since that file was written.

    Args:
        path: the finished folder.
        source: the file.
        check: raises if it was changed.
    """
    if _read_stamps(path, SOURCE) != {str(source): stamp(source)}:
        stamps = {str(source): stamp(source)}  # before the check: of what it reads
        check()
        _write(path / SOURCE, stamps)


def stamp(file: Path) -> list[int]:
    """Size and modification time of a file, by which a change of it is noticed; [] if it is not there."""
    if not file.exists():
        return []
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def _read_stamps(path: Path, name: str = STAMP) -> dict[str, Any]:
    try:
        return dict(json.loads((path / name).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _write_stamp(path: Path, kind: Kind) -> None:
    _write(path / STAMP, {name: stamp(path / f"{name}.npy") for name in kind.arrays})


def _write(file: Path, stamps: dict[str, Any]) -> None:
    try:
        file.write_text(json.dumps(stamps) + "\n")
    except OSError:
        return  # a read-only cache is checked in full every time


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
