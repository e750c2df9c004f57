"""Films as people have them: containers such as MP4, animated pictures, arrays, and folders of pictures."""

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence, UnidentifiedImageError

from latentctx_datasets.library import DatasetError
from latentctx_envs.extras import require

CONTAINERS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg")  # read by PyAV
ANIMATED = (".gif", ".webp", ".apng")
ARRAYS = (".npy", ".npz")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp")  # one frame each, of a folder
# of arrays in an .npz, the first that is there
KEYS = ("image", "images", "frames", "pixels", "observations")


def films_in(source: Path) -> list[Path]:
    """The films in a folder and the folders in it, in order: files, and folders whose pictures are a film's frames.

    What is hidden, by a dot before its name, is no film.

    Raises:
        DatasetError: there are none.
    """
    if not source.is_dir():
        raise DatasetError(f"{source} is no folder: films are looked for in one.")
    there = [
        file
        for file in source.rglob("*")
        if not any(part.startswith(".") for part in file.relative_to(source).parts)
    ]
    files = [file for file in there if file.suffix.lower() in CONTAINERS + ANIMATED + ARRAYS]
    folders = {file.parent for file in there if file.suffix.lower() in PICTURES}
    films = sorted({*files, *folders}, key=lambda film: in_order(film.relative_to(source).as_posix()))
    if not films:
        raise DatasetError(
            f"{source} holds no films: {', '.join(CONTAINERS + ANIMATED + ARRAYS)}, or folders of {', '.join(PICTURES)}."
        )
    return films


def files_of(film: Path) -> list[Path]:
    """The files that a film is in, in the order of its frames."""
    if film.is_file():
        return [film]
    found = [
        file for file in film.iterdir() if file.suffix.lower() in PICTURES and not file.name.startswith(".")
    ]
    return sorted(found, key=lambda file: in_order(file.name))


def frames_of(film: Path) -> Iterator[np.ndarray]:
    """The frames of a film, uint8 (h, w, 3) each, one after the other.

    Raises:
        DatasetError: the film is damaged or holds no such frames.
        ImportError: it needs PyAV, which is not installed.
    """
    suffix = film.suffix.lower()
    try:
        if film.is_dir():
            yield from (_rgb(file) for file in files_of(film))
        elif suffix in CONTAINERS:
            yield from _decoded(film)
        elif suffix in ANIMATED:
            with Image.open(film) as picture:
                yield from (np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture))
        else:
            yield from _array(film)
    except (OSError, ValueError, EOFError, UnidentifiedImageError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{film} cannot be read ({error}): mend it, or move it away.") from None


def in_order(name: str) -> list[Any]:
    """A key by which frame2 comes before frame10."""
    return [
        (1, int(part), "") if part.isdigit() else (0, 0, part.casefold()) for part in re.split(r"(\d+)", name)
    ]


def _rgb(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))


def _decoded(film: Path) -> Iterator[np.ndarray]:
    av = require("av", "films")
    try:
        with av.open(str(film)) as container:
            if not container.streams.video:
                raise DatasetError(f"{film} holds no pictures: move it away.")
            for frame in container.decode(video=0):
                stored = frame.to_ndarray(format="rgb24")
                yield np.ascontiguousarray(np.rot90(stored, frame.rotation // 90))  # as players show it
    except av.error.FFmpegError as error:
        raise DatasetError(f"{film} cannot be read ({error}): mend it, or move it away.") from None


def _array(film: Path) -> np.ndarray:
    """uint8 (t, h, w, 3) of an .npy or .npz file."""
    loaded = np.load(film, allow_pickle=False, mmap_mode="r" if film.suffix.lower() == ".npy" else None)
    if isinstance(loaded, np.ndarray):
        frames = loaded
    else:
        with loaded:
            names = [key for key in KEYS if key in loaded.files] or loaded.files[: len(loaded.files) == 1]
            if not names:
                raise DatasetError(
                    f"{film} holds {', '.join(loaded.files) or 'nothing'}: its frames must be called {', '.join(KEYS)}."
                )
            frames = loaded[names[0]]
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise DatasetError(
            f"{film} holds {frames.dtype} {frames.shape}: frames must be uint8 (t, height, width, 3)."
        )
    return frames
