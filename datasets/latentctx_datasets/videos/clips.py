"""Clips: many short videos of one length and size, memory-mapped, for pretraining without actions.

index.json        source, seed, command, counts, sha256 of every file, content hash of the set
frames-000.npy    uint8 (n, frames, h, w, 3); the clips of shard 0, then those of 001 and so on
actions-000.npy   float32 (n, frames - 1, a), if the source knows them: actions[t] leads from frame t to t + 1
hand-000.npy      float32 (n, frames, 4), likewise: x, y, z [m] and yaw [rad] of the gripper
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentctx_datasets.library import DatasetError
from latentctx_datasets.mapped import cache_root
from latentctx_envs.replacing import sha256_of

FORMAT_VERSION = 1
INDEX, STAMP = "index.json", "verified.json"
IMAGE_SIZE = 64  # [pixels]
META_WORLD = ("meta-world", "play")  # sources that film its arm
CONTROL_STEP = 0.0125  # [s] of it
HELD_OUT = 0.05  # share of the sequences that are never trained on
SPLIT_SEED = 0  # of which those are


@dataclass(frozen=True)
class Clip:
    """One clip as a source gives it."""

    frames: np.ndarray  # uint8 (frames, h, w, 3)
    actions: np.ndarray | None = None  # float32 (frames - 1, a)
    hand: np.ndarray | None = None  # float32 (frames, 4): x, y, z [m], yaw [rad]


class Clips(Sequence[np.ndarray]):
    """A set of clips on disk; `clips[i]` is one, uint8 (frames, h, w, 3), mapped. Open one with `open_clips`.

    Args:
        folder: of the set.
        labels: also read actions and hand.

    Attributes:
        facts: what index.json says.
        length: frames of each clip.

    Raises:
        DatasetError: the set is missing, not finished, or was changed since it was built.
    """

    def __init__(self, folder: Path | str, *, labels: bool = False) -> None:
        self.folder = Path(folder)
        self.facts = read_index(self.folder)
        self.length = int(self.facts["frames"])
        self._labels = labels
        _check_files(self.folder, self.facts)
        self._shards = self._open("frames")
        self._ends = np.cumsum([len(shard) for shard in self._shards])

    def __len__(self) -> int:
        """Number of clips."""
        return int(self._ends[-1])

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process maps the folder anew; pickling a mapped array would copy all of it."""
        return functools.partial(type(self), labels=self._labels), (self.folder,)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]  # no slices: clips are large
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} clips; got {index}.")
        shard, row = self._place(index % len(self))
        return self._shards[shard][row]

    @property
    def image_size(self) -> int:
        """Side of the square frames [pixels]."""
        return int(self.facts["image_size"])

    @property
    def render_profile(self) -> str | None:
        """Of all frames; None if the set does not say, as real videos and joined sets of several profiles."""
        return self.facts.get("render_profile")

    @property
    def action_repeat(self) -> int | None:
        """Control steps of Meta-World from one frame to the next; None of other videos, and of joined sets of several."""
        if self.facts["source"] in META_WORLD:
            return round(self.facts["interval_s"] / CONTROL_STEP)
        return self.facts.get("action_repeat")

    @property
    def family(self) -> str | None:
        """Of the worlds that were filmed; None of other videos, and of joined sets of several."""
        return "meta-world" if self.facts["source"] in META_WORLD else self.facts.get("family")

    @property
    def actions(self) -> np.ndarray:
        """What was done, float32 (clips, frames - 1, a); for probes, not for pretraining.

        Raises:
            DatasetError: it was not asked for when the set was opened, or the source has none.
        """
        return self._read("actions")

    @property
    def hand(self) -> np.ndarray:
        """Where the gripper was, float32 (clips, frames, 4): x, y, z [m], yaw [rad]; for probes, not for pretraining.

        Raises:
            DatasetError: it was not asked for when the set was opened, or the source has none.
        """
        return self._read("hand")

    def windows(
        self,
        clips: Sequence[int] | np.ndarray,
        starts: Sequence[int] | np.ndarray,
        length: int,
        stride: int = 1,
    ) -> np.ndarray:
        """Frames starts[b], starts[b] + stride, ... of clips[b]: uint8 (b, length, h, w, 3).

        Raises:
            ValueError: a window does not lie within its clip, or no such clip is there.
        """
        span = self._span(length, stride)
        clips, starts = np.asarray(clips), np.asarray(starts)
        if clips.shape != starts.shape or clips.ndim != 1:
            raise ValueError(f"a window has one clip and one start; got {clips.shape} and {starts.shape}.")
        if len(clips) and (clips.min() < 0 or clips.max() >= len(self)):
            raise ValueError(f"clips are numbered 0 to {len(self) - 1}; got {clips.min()} to {clips.max()}.")
        if len(starts) and (starts.min() < 0 or starts.max() > self.length - span):
            raise ValueError(
                f"windows of {span} frames start at 0 to {self.length - span}; got {starts.min()} to {starts.max()}."
            )
        out = np.empty((len(clips), length, self.image_size, self.image_size, 3), np.uint8)
        for row, clip, start in zip(out, clips.tolist(), starts.tolist(), strict=True):
            shard, number = self._place(clip)
            row[...] = self._shards[shard][number, start : start + span : stride]
        return out

    def sample(
        self,
        rng: np.random.Generator,
        batch_size: int,
        length: int,
        *,
        stride: int = 1,
        among: Sequence[int] | np.ndarray | None = None,
    ) -> np.ndarray:
        """Windows that start anywhere in any clip, uint8 (batch_size, length, h, w, 3).

        Args:
            rng: draws clips and starts.
            batch_size: number of windows.
            length: frames of each.
            stride: between two of its frames, in frames of the clip.
            among: numbers of the clips that may be drawn; all of them by default.

        Raises:
            ValueError: the clips are too short for such a window.
        """
        span = self._span(length, stride)
        numbers = np.arange(len(self)) if among is None else np.asarray(among)
        clips = numbers[rng.integers(len(numbers), size=batch_size)]
        return self.windows(clips, rng.integers(self.length - span + 1, size=batch_size), length, stride)

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the clips to train on and of those held out, int64, ascending; always the same of one set.

        The last 5 % of the sequences that the clips were cut from are held out, at least one, after a shuffle by a
        fixed seed; clips of one sequence stay together.

        Raises:
            DatasetError: everything was cut from one sequence.
        """
        sequences = np.asarray(self.facts.get("sequences", range(len(self))))
        names = np.unique(sequences)
        if len(names) < 2:
            raise DatasetError(f"{self.folder} holds one sequence, which cannot be split: build more clips.")
        shuffled = np.random.default_rng(SPLIT_SEED).permutation(names)
        held_out = np.isin(sequences, shuffled[-max(1, int(len(names) * HELD_OUT)) :])
        return np.flatnonzero(~held_out), np.flatnonzero(held_out)

    def _span(self, length: int, stride: int) -> int:
        """Frames of a clip from the first of a window to its last, both counted."""
        if length < 1 or stride < 1:
            raise ValueError(f"length and stride start at 1; got {length} and {stride}.")
        span = (length - 1) * stride + 1
        if span > self.length:
            raise ValueError(
                f"{length} frames at a stride of {stride} take {span}, but the clips of {self.folder} have "
                f"{self.length}: ask for fewer, or build longer clips."
            )
        return span

    def _place(self, clip: int) -> tuple[int, int]:
        """Shard of a clip and its row there."""
        shard = int(np.searchsorted(self._ends, clip, side="right"))
        return shard, clip - (int(self._ends[shard - 1]) if shard else 0)

    def _open(self, array: str) -> list[np.ndarray]:
        files = [self.folder / f"{array}-{number:03d}.npy" for number in range(len(self.facts["shards"]))]
        return [np.load(file, mmap_mode="r", allow_pickle=False) for file in files]

    def _read(self, array: str) -> np.ndarray:
        if not self._labels:
            raise DatasetError(
                f"the {array} are withheld from pretraining: probes open clips with labels=True."
            )
        if array not in self.facts["arrays"]:
            raise DatasetError(
                f"{self.folder} holds no {array}: its source, {self.facts['source']}, gives none."
            )
        return np.concatenate(self._open(array))


def clips_root() -> Path:
    """Folder of the sets that have no place of their own: `videos` in `LATENTCTX_CACHE` (default `~/.cache/latentctx`)."""
    return cache_root() / "videos"


def clips_folder(name_or_folder: str | Path) -> Path:
    """The folder that is meant: one that exists, or else a name in `clips_root()`."""
    path = Path(name_or_folder).expanduser()
    return path if path.is_dir() or path.is_absolute() or len(path.parts) > 1 else clips_root() / path


def open_clips(
    name_or_folder: str | Path, *, frames: int = 1, image_size: int = IMAGE_SIZE, labels: bool = False
) -> Clips:
    """Open a set of clips.

    Args:
        name_or_folder: "push", say, in `clips_root()`, or a folder.
        frames: how many each clip must have at least.
        image_size: side that the frames must have [pixels].
        labels: also give actions and hand, which pretraining must not see.

    Raises:
        DatasetError: the set is missing, not finished, damaged, or its clips are too short or of another size.
    """
    clips = Clips(clips_folder(name_or_folder), labels=labels)
    if clips.length < frames:
        raise DatasetError(
            f"clips of at least {frames} frames are needed, those of {clips.folder} have {clips.length}: "
            "build longer ones, or ask for fewer frames."
        )
    if clips.image_size != image_size:
        raise DatasetError(
            f"frames of {image_size} px are needed, those of {clips.folder} have {clips.image_size}: "
            "build the clips at that size, or choose another set."
        )
    return clips


def read_index(folder: Path) -> dict[str, Any]:
    """What index.json says.

    Raises:
        DatasetError: there is none, or it cannot be read.
    """
    if not (folder / INDEX).is_file():
        state = (
            "is not finished: the same build goes on"
            if (folder / "build.json").is_file()
            else "holds no clips"
        )
        raise DatasetError(
            f"{folder} {state}; `latentctx videos build push --path {folder}`, say, builds some."
        )
    try:
        index = json.loads((folder / INDEX).read_text())
        if index["format_version"] != FORMAT_VERSION:
            raise KeyError("format_version")
        [(file["bytes"], file["sha256"]) for shard in index["shards"] for file in shard["files"].values()]
        if not index["shards"] or min(int(index[name]) for name in ("clips", "frames", "image_size")) < 1:
            raise ValueError("no clips")
        [index[name] for name in ("source", "arrays", "content_hash")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DatasetError(f"{folder / INDEX} is damaged: move {folder} away and build it again.") from None
    return index


def _check_files(folder: Path, index: dict[str, Any]) -> None:
    """Compare every file with the index; one whose size and time are those of the last check is not hashed again."""
    stamps, known = _read_stamps(folder), dict[str, list[int]]()
    for name, wanted in ((name, file) for shard in index["shards"] for name, file in shard["files"].items()):
        path = folder / name
        status = path.stat() if path.is_file() else None
        if status is None or status.st_size != wanted["bytes"]:
            came = "is missing" if status is None else f"has {status.st_size} bytes"
            raise DatasetError(
                f"{path} {came}, its index says {wanted['bytes']}: move {folder} away and build it again."
            )
        known[name] = [status.st_size, status.st_mtime_ns]
        if known[name] != stamps.get(name) and sha256_of(path) != wanted["sha256"]:
            raise DatasetError(
                f"{path} was changed since it was built: move {folder} away and build it again."
            )
    if known != stamps:
        _write_stamps(folder, known)


def _read_stamps(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / STAMP).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _write_stamps(folder: Path, stamps: dict[str, list[int]]) -> None:
    try:
        (folder / STAMP).write_text(json.dumps(stamps) + "\n")
    except OSError:
        return  # a folder that may only be read is checked in full every time
