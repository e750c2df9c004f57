"""Stores of a dataset's arrays, memory-mapped, verified, built once: of states, and of frames derived from them as well.

Datasets whose observations are frames, such as V-D4RL's or those of another environment, have stores of these frames as they
are (`open_frames`). `open_pixels` takes whichever a dataset has.

One folder per dataset content under `LATENTCTX_CACHE` (default `~/.cache/latentctx`); for frames also per size, camera,
profile and physics version. The rows of all episodes lie one after the other, the last observation of each included:

    frame     f      0 1 2 ... T0 | T0+1 ...
    actions   f      a a a ... 0  | a ...        actions[f] leads from frame f to f+1; the row of a last frame is 0
    rewards   f      r r r ... 0  | r ...        rewards[f] is what actions[f] earned
"""

import contextlib
import json
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import minari
import numpy as np
from gymnasium import spaces

from latentctx_datasets import library, mapped
from latentctx_datasets.identity import content_of, verify_recorded
from latentctx_datasets.library import DatasetError
from latentctx_datasets.mapped import cache_root
from latentctx_datasets.replay import View, replay, world_of
from latentctx_datasets.tickets import Wanted, done_by_workers
from latentctx_envs.cores import available_cores
from latentctx_envs.rendering import RenderProfile
from latentctx_envs.settings import SIGHT

FORMAT_VERSION = 4
PLAN = "build.json"  # beside the arrays, while they are built
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
        contexts: float32 (e, c), privileged; c is 0 where the dataset names none.
        dataset_id: by which it was opened; equal datasets of two ids share a store.
    """

    kind: ClassVar[mapped.Kind] = STATE_KIND

    def __init__(self, path: Path, dataset_id: str | None = None) -> None:
        self.path = path
        self.manifest = mapped.verified_manifest(path, self.kind, self._readable)
        self.key: str = self.manifest["key"]
        self.dataset_id: str = dataset_id or self.manifest["dataset_id"]
        arrays = mapped.open_arrays(path, self.kind)[-len(STATE_ARRAYS) :]
        self.observations, self.actions, self.rewards, self.starts, self.lengths, self.contexts = arrays

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.starts)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process maps the folder anew; pickling a mapped array would copy all of it."""
        return type(self), (self.path, self.dataset_id)

    @staticmethod
    def _readable(manifest: dict[str, Any]) -> Any:
        """What must be in a manifest."""
        return manifest["dataset_id"]


class PixelStore(StateStore):
    """A `StateStore` with frames; open one of its states with `open_store`, one of stored frames with `open_frames`.

    Attributes:
        frames: uint8 (f, h, w, 3), memory-mapped.
        view: how they were rendered; of stored frames, how the dataset says that they were.
        render_profile: the view's; None for stored frames of another environment than this project's.
    """

    kind: ClassVar[mapped.Kind] = KIND

    def __init__(self, path: Path, dataset_id: str | None = None) -> None:
        super().__init__(path, dataset_id)
        self.view = View(**self.manifest["view"])
        drawn = self.manifest.get("drawn", True)
        self.render_profile: RenderProfile | None = self.view.render_profile if drawn else None
        self.frames = mapped.open_arrays(path, self.kind)[0]

    @staticmethod
    def _readable(manifest: dict[str, Any]) -> Any:
        return manifest["dataset_id"], View(**manifest["view"])


def open_states(dataset_id: str) -> StateStore:
    """The states of a dataset, read from its file first if they are not there.

    Raises:
        DatasetError: the dataset is missing or damaged, holds frames or anything but vectors instead of states, or the
            store was changed since it was built.
    """
    dataset = library.load(dataset_id)
    if holds_frames(dataset):
        raise DatasetError(
            f"{dataset_id} holds frames and no states: only observed='pixels' can learn from it."
        )
    if not isinstance(dataset.observation_space, spaces.Box) or len(dataset.observation_space.shape) != 1:
        raise DatasetError(
            f"{dataset_id}: states must be vectors, a Box; its observations are {dataset.observation_space}."
        )
    parts = {"content": content_of(dataset), "format": FORMAT_VERSION}
    path = cache_root() / "states" / mapped.digest_of(parts)
    mapped.ensure(path, STATE_KIND, lambda partial: _build_states(dataset, partial))
    _check_source(path, dataset)
    return StateStore(path, dataset_id)


def _check_source(path: Path, dataset: minari.MinariDataset) -> None:
    """See to it that a dataset's file is still the one that a store was made of.

    Raises:
        DatasetError: the dataset was changed.
    """
    file = library.main_file(dataset.storage.data_path.parent)
    mapped.once_for(path, file, lambda: verify_recorded(dataset))


def _build_states(dataset: minari.MinariDataset, partial: Path) -> dict[str, Any]:
    verify_recorded(dataset)
    _write_small_arrays(dataset, partial)
    return {"dataset_id": library.id_of(dataset)}


def store_key(dataset: minari.MinariDataset, view: View) -> str:
    """Name of the store's folder: it changes with the data, their world, the view and the simulator."""
    spec = library.spec_of(dataset)
    world = {name: value for name, value in spec.kwargs.items() if name not in SIGHT}  # the view says those
    return mapped.digest_of(
        {
            "content": content_of(dataset),
            "world": [spec.id, world],
            "mujoco": version("mujoco"),
            "format": FORMAT_VERSION,
            **asdict(view),
        }
    )


def open_store(dataset_id: str, view: View, *, workers: int | None = None) -> PixelStore:
    """The store of a dataset seen through `view`, built first if it is not there; an export's own frames are not rendered again.

    Args:
        dataset_id: a dataset in Minari's folder (or one that ships).
        view: size, camera and profile of the frames.
        workers: rendering processes; by default one a core. 1 renders in this process.

    Raises:
        DatasetError: the dataset is missing or damaged, or the store was changed since it was built.
    """
    dataset = library.load(dataset_id)
    if holds_frames(dataset) and _recorded_view(dataset) == view:
        return open_frames(dataset_id)
    path = cache_root() / "pixels" / store_key(dataset, view)
    count = workers if workers is not None else available_cores()
    mapped.ensure(path, KIND, lambda partial: _build(dataset, view, partial, count))
    _check_source(path, dataset)
    return PixelStore(path, dataset_id)


def open_pixels(dataset_id: str, view: View, *, workers: int | None = None) -> PixelStore:
    """Frames of a dataset: rendered where it stores physics states, else those that it stores, which must be of that size.

    Args:
        dataset_id: a dataset in Minari's folder, of any maker (or one that ships).
        view: size, camera and profile of the frames; of stored ones the size alone counts.
        workers: rendering processes; by default one a core.

    Raises:
        DatasetError: the dataset is missing or damaged, has neither, or its frames are of another size.
    """
    dataset = library.load(dataset_id)
    if "physics_state" in (dataset[0].infos or {}):
        return open_store(dataset_id, view, workers=workers)
    if not holds_frames(dataset):
        raise DatasetError(
            f"{dataset_id} stores neither frames (uint8, height, width, 3) nor physics states, from which they are derived: "
            f"its observations are {dataset.observation_space}. DemonstrationCollector keeps the latter."
        )
    if view.goal_visible:
        raise DatasetError(f"{dataset_id} stores frames as they are: goal_visible=True needs physics states.")
    return open_frames(dataset_id, view.image_size)


def holds_frames(dataset: minari.MinariDataset) -> bool:
    """Whether a dataset's observations are frames themselves, or hold them as "pixels"; no others can be derived."""
    space = _frame_space(dataset)
    return isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3


def _frame_space(dataset: minari.MinariDataset) -> spaces.Space[Any]:
    """The space of the frames, if there are any."""
    space = dataset.observation_space
    return space["pixels"] if isinstance(space, spaces.Dict) and "pixels" in space.spaces else space


def _frame_shape(dataset: minari.MinariDataset) -> tuple[int, ...]:
    return _frame_space(dataset).shape or ()


def open_frames(dataset_id: str, image_size: int | None = None) -> PixelStore:
    """The frames that a dataset stores, as its observations or as "pixels" in them, taken out of its file if need be.

    The store's `observations` have no columns: such a dataset knows no states.

    Args:
        dataset_id: a dataset in Minari's folder, of any maker.
        image_size: that they must have; None for any.

    Raises:
        DatasetError: the dataset is missing or damaged, its observations are no square frames, or of another size, its
            actions are no vectors, or the store was changed since it was built.
    """
    dataset = library.load(dataset_id)
    shape = _frame_shape(dataset)
    if not holds_frames(dataset) or shape[0] != shape[1] or shape[2] != 3:
        raise DatasetError(
            f"{dataset_id} stores no square frames (height, width, 3), but {dataset.observation_space}."
        )
    if image_size not in (None, shape[0]):
        raise DatasetError(f"{dataset_id} stores frames of {shape[0]} px; {image_size} px are needed.")
    if not isinstance(dataset.action_space, spaces.Box):
        raise DatasetError(f"{dataset_id}: actions must be vectors, a Box; got {dataset.action_space}.")
    parts = {"content": content_of(dataset), "format": FORMAT_VERSION, "stored": "frames"}
    path = cache_root() / "pixels" / mapped.digest_of(parts)
    mapped.ensure(path, KIND, lambda partial: _build_frames(dataset, partial))
    _check_source(path, dataset)
    return PixelStore(path, dataset_id)


def _build_frames(dataset: minari.MinariDataset, partial: Path) -> dict[str, Any]:
    verify_recorded(dataset)
    shape = (int(dataset.total_steps) + len(dataset), *_frame_shape(dataset))
    frames = np.load(
        mapped.allocate(partial, "frames", np.uint8, shape, KIND), mmap_mode="r+", allow_pickle=False
    )
    _write_small_arrays(dataset, partial, frames=frames)
    frames.flush()
    view = _recorded_view(dataset)
    shown = view or View(image_size=shape[1])
    return {"dataset_id": library.id_of(dataset), "view": asdict(shown), "drawn": view is not None}


def _recorded_view(dataset: minari.MinariDataset) -> View | None:
    """How a dataset says that its frames were rendered; None if they are of another project's environment."""
    try:
        given = library.spec_of(dataset).kwargs
    except DatasetError:
        return None
    known = {field.name: given[field.name] for field in fields(View) if field.name in given}
    return View(**{**known, "image_size": _frame_shape(dataset)[0]})


@dataclass(frozen=True, kw_only=True)
class RenderPlan:
    """What is rendered into a store that is being built."""

    dataset_id: str
    view: View
    chunk: int  # episodes that are rendered at a time
    episodes: int

    @classmethod
    def read(cls, file: Path) -> "RenderPlan":
        """The plan that `write` wrote."""
        values = json.loads(file.read_text())
        return cls(**{**values, "view": View(**values["view"])})

    def write(self, file: Path) -> None:
        """Leave it for the workers."""
        file.write_text(json.dumps(asdict(self)) + "\n")

    def bounds(self, number: int) -> tuple[int, int]:
        """First episode of a chunk, and the one after its last."""
        return number * self.chunk, min((number + 1) * self.chunk, self.episodes)

    def render(self, partial: Path, number: int, wanted: Wanted = lambda: True) -> bool:
        """Render the frames of a chunk's episodes into the memory-mapped file; False if it was given up.

        Args:
            partial: the store that is built.
            number: of the chunk.
            wanted: asked after every episode; False gives up.
        """
        frames = np.load(partial / "frames.npy", mmap_mode="r+", allow_pickle=False)
        starts = np.load(partial / "starts.npy", allow_pickle=False)
        chosen = range(*self.bounds(number))
        for index, episode in zip(
            chosen, replay(library.load(self.dataset_id), self.view, chosen), strict=True
        ):
            frames[starts[index] : starts[index] + len(episode)] = episode
            if not wanted():
                return False
        frames.flush()
        return True


def _build(dataset: minari.MinariDataset, view: View, partial: Path, workers: int) -> dict[str, Any]:
    verify_recorded(dataset)
    lengths, dataset_id = _write_small_arrays(dataset, partial), library.id_of(dataset)
    shape = (int((lengths + 1).sum()), view.image_size, view.image_size, 3)
    mapped.allocate(partial, "frames", np.uint8, shape, KIND)
    plan = RenderPlan(dataset_id=dataset_id, view=view, chunk=CHUNK, episodes=len(lengths))
    plan.write(partial / PLAN)
    missing = mapped.missing_chunks(partial, len(lengths), CHUNK)
    done = len(lengths) - sum(last - first for first, last in missing)
    with contextlib.closing(
        _run(partial, plan, [first // CHUNK for first, _ in missing], workers)
    ) as rendered:
        finished = (plan.bounds(number) for number in rendered)
        mapped.record_chunks(partial, finished, done=done, total=len(lengths), label="render", unit="ep")
    (partial / PLAN).unlink()
    return {"dataset_id": dataset_id, "view": asdict(view)}


def _run(partial: Path, plan: RenderPlan, numbers: Sequence[int], workers: int) -> Generator[int]:
    """Yield the numbers of chunks as they are rendered."""
    point = library.spec_of(library.load(plan.dataset_id)).entry_point
    ours = str(point).startswith("latentctx_envs.")  # a fresh interpreter knows no others
    count = min(workers, len(numbers)) if ours else 1
    if count > 1:
        yield from done_by_workers("latentctx_datasets.render_worker", partial, numbers, count)
        return
    for number in numbers:
        plan.render(partial, number)
        yield number


def _write_small_arrays(
    dataset: minari.MinariDataset, directory: Path, *, frames: np.ndarray | None = None
) -> np.ndarray:
    """Write all arrays but the frames; observations that are frames go nowhere but into `frames`, if it is given.

    Returns:
        Number of actions of each episode.
    """
    observations, actions, rewards, row = [], [], [], 0
    for episode in dataset.iterate_episodes():
        seen, after = episode.observations, row + len(episode) + 1
        if frames is not None:
            frames[row:after] = seen["pixels"] if isinstance(seen, dict) else seen
        shown = np.zeros((after - row, 0)) if holds_frames(dataset) else seen
        observations.append(np.asarray(shown, np.float32))  # float64 in worlds from elsewhere
        row = after
        actions += [episode.actions.astype(np.float32), np.zeros_like(episode.actions[:1], np.float32)]
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
    extras = list(dataset.storage.get_episode_metadata(dataset.episode_indices))
    if any("context_json" not in extra for extra in extras):
        return np.zeros((len(extras), 0), np.float32)
    with world_of(dataset) as world:
        kind = world.context_type
    return np.stack([kind.from_dict(json.loads(extra["context_json"])).as_array() for extra in extras])
