"""The pixel store: frames derived from stored physics states, memory-mapped, verified, built once.

One folder per (dataset content, frame size, camera, profile, physics version) under `LATENTCTX_CACHE` (default
`~/.cache/latentctx`). Frames of all episodes lie one after the other, the last observation of each included:

    frame     f      0 1 2 ... T0 | T0+1 ...
    actions   f      a a a ... 0  | a ...        actions[f] leads from frame f to f+1; the row of a last frame is 0
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from latentctx_datasets import library
from latentctx_datasets.library import DatasetError
from latentctx_datasets.replay import View, latent_env, replay

FORMAT_VERSION = 2
CHUNK = 25  # episodes rendered by a worker at a time; a killed build loses at most the chunks in flight
ARRAYS = ("frames", "observations", "actions", "starts", "lengths", "contexts")
MANIFEST, STAMP, DONE = "manifest.json", "verified.json", "done"


class PixelStore:
    """Frames, actions and states of a dataset as memory-mapped arrays; open one with `open_store`.

    Attributes:
        frames: uint8 (f, h, w, 3), memory-mapped.
        observations: float32 (f, d), state observations.
        actions: float32 (f, a), zero where a frame has no successor.
        starts: int64 (e,), index of each episode's first frame.
        lengths: int64 (e,), number of actions of each episode (it has one frame more).
        contexts: float32 (e, c), privileged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        manifest = _verified_manifest(path)
        self.key: str = manifest["key"]
        self.dataset_id: str = manifest["dataset_id"]
        self.view = View(**manifest["view"])
        self.frames, self.observations, self.actions, self.starts, self.lengths, self.contexts = (
            np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS
        )

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.starts)


def cache_root() -> Path:
    """Folder of all caches: `LATENTCTX_CACHE`, else `~/.cache/latentctx`."""
    path = os.environ.get("LATENTCTX_CACHE")
    return Path(path) if path is not None else Path.home() / ".cache" / "latentctx"


def store_key(content_hash: str, view: View) -> str:
    """Name of the store's folder: it changes with the data, the view and the simulator."""
    parts = {"content": content_hash, "mujoco": version("mujoco"), "format": FORMAT_VERSION, **asdict(view)}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def open_store(dataset_id: str, view: View, *, workers: int | None = None) -> PixelStore:
    """The store of a dataset seen through `view`, built first if it is not there.

    Args:
        dataset_id: a dataset in Minari's folder (or one that ships).
        view: size, camera and profile of the frames.
        workers: rendering processes; by default one a core. 1 renders in this process.

    Raises:
        DatasetError: the dataset is missing or damaged, or the store was changed since it was built.
    """
    dataset = library.load(dataset_id)
    path = cache_root() / "pixels" / store_key(library.recorded_hash(dataset), view)
    if not path.is_dir():
        with library.locked(path):
            if not path.is_dir():  # another process may have built it meanwhile
                _build(dataset_id, view, path, workers if workers is not None else os.cpu_count() or 1)
    return PixelStore(path)


def _build(dataset_id: str, view: View, path: Path, workers: int) -> None:
    library.verify(dataset_id)
    partial = path.with_name(f"{path.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    lengths = _write_small_arrays(dataset_id, partial)
    frames = _frames_file(partial, int((lengths + 1).sum()), view.image_size)
    done_file = partial / DONE
    done = set(done_file.read_text().split()) if done_file.exists() else set()
    jobs = [
        (str(frames), dataset_id, asdict(view), first, min(first + CHUNK, len(lengths)))
        for first in range(0, len(lengths), CHUNK)
        if str(first) not in done
    ]
    bar = tqdm(total=len(lengths), initial=CHUNK * len(done), desc="render", unit="ep", delay=1)
    with done_file.open("a") as log, bar:
        for first, last in _run(jobs, workers):
            log.write(f"{first}\n")
            log.flush()
            bar.update(last - first)
    files = {name: _digest(partial / f"{name}.npy") for name in ARRAYS}
    manifest = {
        "format_version": FORMAT_VERSION,
        "key": path.name,
        "dataset_id": dataset_id,
        "view": asdict(view),
        "sha256": files,
        "bytes": {name: (partial / f"{name}.npy").stat().st_size for name in ARRAYS},
    }
    (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    done_file.unlink()
    partial.rename(path)
    _write_stamp(path)


def _run(jobs: list[Any], workers: int) -> Iterator[tuple[int, int]]:
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield _render_chunk(job)
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_render_chunk, job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()


def _render_chunk(job: tuple[str, str, dict[str, Any], int, int]) -> tuple[int, int]:
    """Render the frames of episodes first..last-1 into the memory-mapped file (runs in a worker)."""
    file, dataset_id, view, first, last = job
    frames = np.load(file, mmap_mode="r+", allow_pickle=False)
    starts = np.load(Path(file).with_name("starts.npy"), allow_pickle=False)
    replayed = replay(library.load(dataset_id), View(**view), range(first, last))
    for index, episode in zip(range(first, last), replayed, strict=True):
        frames[starts[index] : starts[index] + len(episode)] = episode
    frames.flush()
    return first, last


def _write_small_arrays(dataset_id: str, directory: Path) -> np.ndarray:
    dataset = library.load(dataset_id)
    episodes = list(dataset.iterate_episodes())
    extras = dataset.storage.get_episode_metadata(dataset.episode_indices)
    kind = latent_env(library.recover(dataset)).task.context_type
    lengths = np.array([len(episode.rewards) for episode in episodes], np.int64)
    padding = np.zeros_like(episodes[0].actions[:1])
    arrays = {
        "observations": np.concatenate([episode.observations for episode in episodes]),
        "actions": np.concatenate([part for e in episodes for part in (e.actions, padding)]),
        "starts": np.concatenate([[0], np.cumsum(lengths + 1)[:-1]]).astype(np.int64),
        "lengths": lengths,
        "contexts": np.stack(
            [kind.from_dict(json.loads(extra["context_json"])).as_array() for extra in extras]
        ),
    }
    for name, array in arrays.items():
        np.save(directory / f"{name}.npy", array, allow_pickle=False)
    return lengths


def _frames_file(directory: Path, count: int, size: int) -> Path:
    path = directory / "frames.npy"
    shape = (count, size, size, 3)
    free, needed = shutil.disk_usage(directory).free, count * size * size * 3
    if not path.exists():
        if free < needed:
            raise DatasetError(
                f"the pixel store needs {needed / 1e9:.1f} GB in {directory.parent}, {free / 1e9:.1f} GB are free: "
                "set LATENTCTX_CACHE to a larger disk."
            )
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape).flush()
    return path


def _verified_manifest(path: Path) -> dict[str, Any]:
    """The manifest, after checking every array against it.

    A file whose size and modification time are those of the last full check is not hashed again.
    """
    advice = f"remove {path} and it will be rendered again from the dataset"
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        if manifest["format_version"] != FORMAT_VERSION or manifest["key"] != path.name:
            raise KeyError("format_version")
        _ = manifest["dataset_id"], View(**manifest["view"])
        wanted = {name: (manifest["bytes"][name], manifest["sha256"][name]) for name in ARRAYS}
    except (OSError, ValueError, KeyError, TypeError):
        raise DatasetError(f"the pixel store's manifest is missing or damaged: {advice}.") from None
    try:
        stamp = dict(json.loads((path / STAMP).read_text()))
    except (OSError, ValueError, TypeError):
        stamp = {}
    stale = [name for name in ARRAYS if stamp.get(name) != _stamp(path / f"{name}.npy")]
    for name in stale:
        file, (count, digest) = path / f"{name}.npy", wanted[name]
        size = file.stat().st_size if file.exists() else 0
        if size != count:
            raise DatasetError(
                f"the pixel store's {file.name} has {size} bytes instead of {count}: {advice}."
            )
        if _digest(file) != digest:
            raise DatasetError(f"the pixel store's {file.name} was changed since it was built: {advice}.")
    if stale:
        _write_stamp(path)
    return manifest


def _stamp(file: Path) -> list[int]:
    if not file.exists():
        return []
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def _write_stamp(path: Path) -> None:
    stamp = {name: _stamp(path / f"{name}.npy") for name in ARRAYS}
    try:
        (path / STAMP).write_text(json.dumps(stamp) + "\n")
    except OSError:
        return  # a read-only cache is checked in full every time


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
