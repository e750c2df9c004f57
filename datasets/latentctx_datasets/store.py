"""Stores of a dataset's arrays, memory-mapped, verified, built once: of states, and of frames derived from them as well.

One folder per dataset content under `LATENTCTX_CACHE` (default `~/.cache/latentctx`); for frames also per size, camera,
profile and physics version. The rows of all episodes lie one after the other, the last observation of each included:

    frame     f      0 1 2 ... T0 | T0+1 ...
    actions   f      a a a ... 0  | a ...        actions[f] leads from frame f to f+1; the row of a last frame is 0
    rewards   f      r r r ... 0  | r ...        rewards[f] is what actions[f] earned
"""

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar

import minari
import numpy as np

from latentctx_datasets import library, mapped
from latentctx_datasets.mapped import cache_root
from latentctx_datasets.replay import View, latent_env, replay
from latentctx_envs.cores import available_cores

FORMAT_VERSION = 4
CHUNK = 25  # episodes rendered by a worker at a time; a killed build loses at most the chunks in flight
STATE_ARRAYS = ("observations", "actions", "rewards", "starts", "lengths", "contexts")
ARRAYS = ("frames", *STATE_ARRAYS)
KIND = mapped.Kind(
    name="pixel store",
    arrays=ARRAYS,
    format_version=FORMAT_VERSION,
    remedy="it will be rendered again from the dataset",
)
STATE_KIND = mapped.Kind(
    name="state store",
    arrays=STATE_ARRAYS,
    format_version=FORMAT_VERSION,
    remedy="it will be read again from the dataset",
)


class StateStore:
    """States, actions and rewards of a dataset as memory-mapped arrays; open one with `open_states`.

    Attributes:
        observations: float32 (f, d), state observations.
        actions: float32 (f, a), zero where a frame has no successor.
        rewards: float32 (f,), zero where a frame has no successor.
        starts: int64 (e,), index of each episode's first frame.
        lengths: int64 (e,), number of actions of each episode (it has one frame more).
        contexts: float32 (e, c), privileged.
    """

    kind: ClassVar[mapped.Kind] = STATE_KIND

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = mapped.verified_manifest(path, self.kind, self._readable)
        self.key: str = self.manifest["key"]
        self.dataset_id: str = self.manifest["dataset_id"]
        arrays = mapped.open_arrays(path, self.kind)[-len(STATE_ARRAYS) :]
        self.observations, self.actions, self.rewards, self.starts, self.lengths, self.contexts = arrays

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.starts)

    @staticmethod
    def _readable(manifest: dict[str, Any]) -> Any:
        """What must be in a manifest."""
        return manifest["dataset_id"]


class PixelStore(StateStore):
    """A `StateStore` with the frames of its states; open one with `open_store`.

    Attributes:
        frames: uint8 (f, h, w, 3), memory-mapped.
        view: how they were rendered.
    """

    kind: ClassVar[mapped.Kind] = KIND

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.view = View(**self.manifest["view"])
        self.frames = mapped.open_arrays(path, self.kind)[0]

    @staticmethod
    def _readable(manifest: dict[str, Any]) -> Any:
        return manifest["dataset_id"], View(**manifest["view"])


def open_states(dataset_id: str) -> StateStore:
    """The states of a dataset, read from its file first if they are not there.

    Raises:
        DatasetError: the dataset is missing or damaged, or the store was changed since it was built.
    """
    dataset = library.load(dataset_id)
    parts = {"content": library.recorded_hash(dataset), "format": FORMAT_VERSION}
    path = cache_root() / "states" / mapped.digest_of(parts)
    mapped.ensure(path, STATE_KIND, lambda partial: _build_states(dataset_id, partial))
    return StateStore(path)


def _build_states(dataset_id: str, partial: Path) -> dict[str, Any]:
    library.verify(dataset_id)
    _write_small_arrays(dataset_id, partial)
    return {"dataset_id": dataset_id}


def store_key(content_hash: str, view: View) -> str:
    """Name of the store's folder: it changes with the data, the view and the simulator."""
    parts = {"content": content_hash, "mujoco": version("mujoco"), "format": FORMAT_VERSION, **asdict(view)}
    return mapped.digest_of(parts)


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
    count = workers if workers is not None else available_cores()
    mapped.ensure(path, KIND, lambda partial: _build(dataset_id, view, partial, count))
    return PixelStore(path)


def _build(dataset_id: str, view: View, partial: Path, workers: int) -> dict[str, Any]:
    library.verify(dataset_id)
    lengths = _write_small_arrays(dataset_id, partial)
    shape = (int((lengths + 1).sum()), view.image_size, view.image_size, 3)
    frames = mapped.allocate(partial, "frames", np.uint8, shape, KIND)
    missing = mapped.missing_chunks(partial, len(lengths), CHUNK)
    jobs = [(str(frames), dataset_id, asdict(view), first, last) for first, last in missing]
    done = len(lengths) - sum(last - first for first, last in missing)
    mapped.record_chunks(
        partial, _run(jobs, workers), done=done, total=len(lengths), label="render", unit="ep"
    )
    return {"dataset_id": dataset_id, "view": asdict(view)}


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
    observations, actions, rewards = [], [], []
    for episode in dataset.iterate_episodes():
        observations.append(episode.observations)
        actions += [episode.actions, np.zeros_like(episode.actions[:1])]
        rewards += [np.asarray(episode.rewards, np.float32), np.zeros(1, np.float32)]
    lengths = np.array([len(part) - 1 for part in observations], np.int64)
    arrays = {
        "observations": np.concatenate(observations),
        "actions": np.concatenate(actions),
        "rewards": np.concatenate(rewards),
        "starts": np.concatenate([[0], np.cumsum(lengths + 1)[:-1]]).astype(np.int64),
        "lengths": lengths,
        "contexts": _contexts(dataset),
    }
    for name, array in arrays.items():
        np.save(directory / f"{name}.npy", array, allow_pickle=False)
    return lengths


def _contexts(dataset: minari.MinariDataset) -> np.ndarray:
    kind = latent_env(library.recover(dataset)).context_type
    extras = dataset.storage.get_episode_metadata(dataset.episode_indices)
    return np.stack([kind.from_dict(json.loads(extra["context_json"])).as_array() for extra in extras])
