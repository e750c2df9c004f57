"""Demonstrations as videos: what was seen, without actions, rewards or contexts.

videos.json      facts: source, its content hash, view, frames a second, how many
000000.npz       image (T + 1, h, w, 3) uint8, lossless; with states also state (T + 1, d) float32
000001.npz       ...
"""

import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from latentctx_datasets import identity, library
from latentctx_datasets.library import DatasetError
from latentctx_datasets.replay import View, replay, world_of
from latentctx_envs.locks import locked
from latentctx_envs.replacing import replacing

FACTS = "videos.json"


class Videos(Sequence[np.ndarray]):
    """A folder of videos that `write_videos` wrote; `videos[i]` reads one, uint8 (T + 1, h, w, 3).

    Args:
        folder: of the videos.

    Raises:
        DatasetError: it holds none, or the export was not finished.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        try:
            self.facts: dict[str, Any] = json.loads((self.folder / FACTS).read_text())
            self._count = int(self.facts["videos"])
        except (OSError, ValueError, KeyError, TypeError):
            raise DatasetError(
                f"{self.folder} holds no videos: `latentctx data export-videos ID --out {self.folder}` writes some."
            ) from None
        missing = [number for number in range(self._count) if not self._file(number).is_file()]
        if missing:
            raise DatasetError(
                f"{self.folder} lacks {len(missing)} of {self._count} videos: export them again."
            )

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]  # no slices: videos are large
        return self._read(index, "image")

    def states(self, index: int) -> np.ndarray:
        """The states of one video, float32 (T + 1, d).

        Raises:
            DatasetError: they were not exported.
        """
        if not self.facts["states"]:
            raise DatasetError(f"{self.folder} holds no states: export them with --states.")
        return self._read(index, "state")

    def _read(self, index: int, key: str) -> np.ndarray:
        if not -self._count <= index < self._count:
            raise IndexError(f"there are {self._count} videos; got {index}.")
        file = self._file(index % self._count)
        try:
            with np.load(file) as arrays:
                return arrays[key]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DatasetError(f"{file} is damaged ({error}): remove it and export again.") from None

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"


def write_videos(
    dataset_id: str, folder: Path, *, view: View, episodes: int | None = None, states: bool = False
) -> int:
    """Write the videos of a dataset's first episodes; how many. A killed export goes on where it was.

    Args:
        dataset_id: a dataset with physics states.
        folder: new, or of the same export.
        view: size, camera and profile of the frames.
        episodes: how many; by default all.
        states: write the state observations beside the frames.

    Raises:
        DatasetError: the dataset is missing or damaged, the folder holds something else, or `episodes` is below 1.
    """
    if episodes is not None and episodes < 1:
        raise DatasetError(f"episodes start at 1; got {episodes}.")
    dataset = library.load(dataset_id)
    identity.verify_recorded(dataset)
    count = len(dataset) if episodes is None else min(episodes, len(dataset))
    with world_of(dataset) as world:
        frames_per_second = world.metadata["render_fps"]
    facts = {
        "source": dataset_id,
        "content_hash": identity.content_of(dataset),
        "view": view.arguments(),
        "frames_per_second": frames_per_second,
        "states": states,
        "videos": count,
    }
    folder = folder.absolute()  # "." has no name
    with locked(folder):
        _begin(folder, facts)
        left = [number for number in range(count) if not (folder / f"{number:06d}.npz").exists()]
        frames = tqdm(replay(dataset, view, left), total=len(left), desc="videos", unit="video", delay=1)
        for number, images, episode in zip(left, frames, dataset.iterate_episodes(left), strict=True):
            arrays = {"image": images}
            if states:
                arrays["state"] = np.asarray(episode.observations, np.float32)
            _write(folder / f"{number:06d}.npz", arrays)
    return count


def _begin(folder: Path, facts: dict[str, Any]) -> None:
    """Take a new folder, or one of the same export."""
    if folder.exists() and any(folder.iterdir()):
        try:
            same = json.loads((folder / FACTS).read_text()) == json.loads(json.dumps(facts))
        except (OSError, ValueError):
            same = False
        if not same:
            raise DatasetError(f"{folder} holds something else: choose another folder, or move it away.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n")


def _write(file: Path, arrays: dict[str, np.ndarray]) -> None:
    with replacing(file) as fresh, fresh.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
