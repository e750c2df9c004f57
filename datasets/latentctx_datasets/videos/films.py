"""Clips of films of one's own: whatever a camera or another simulator recorded, without actions."""

import itertools
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from latentctx_datasets.library import DatasetError
from latentctx_datasets.videos.building import build, refuse_other, spread
from latentctx_datasets.videos.clips import IMAGE_SIZE, INDEX, Clip, Clips, clips_root, read_index
from latentctx_datasets.videos.film_files import files_of, films_in, frames_of
from latentctx_envs.replacing import sha256_of

NAME = "films"
FRAMES = 16  # of a clip by default


def build_films(
    source: Path | str,
    folder: Path | str | None = None,
    *,
    frames: int = FRAMES,
    every: int = 1,
    workers: int | None = None,
) -> Clips:
    """Cut films into clips, or open them if they are there; a killed build goes on where it was.

    A film is a file (MP4 and other containers by PyAV, GIF, WebP, .npy or .npz of uint8 (t, height, width, 3)), or a folder of
    pictures. Its middle square is made 64 px large. It becomes as few clips as cover it, which overlap where its length
    asks for that; clips of one film are held out together. A single film becomes clips that lie apart. Shorter films are left out.

    Args:
        source: folder that holds the films, or holds folders that do.
        folder: where to; by default "films-<name of the source>" in `clips_root()`.
        frames: of each clip.
        every: one frame in so many of a film is taken; about as much should move between two as in a decision of what will act.
        workers: processes; by default one a core.

    Raises:
        DatasetError: there are no films, one is damaged, none is long enough, or the folder holds something else.
        ImportError: a film needs PyAV, which is not installed.
        ValueError: a number is out of range.
    """
    if frames < 2 or every < 1:
        raise ValueError(f"frames start at 2 and every at 1; got frames={frames}, every={every}.")
    source = Path(source).expanduser().resolve()
    target = clips_root() / f"{NAME}-{source.name}" if folder is None else Path(folder)
    films = films_in(source)
    wanted = {
        "source": NAME,
        "frames": frames,
        "image_size": IMAGE_SIZE,
        "every": every,
        "read_from": str(source),
        "films": [[film.relative_to(source).as_posix(), _hash(film)] for film in films],
        "arrays": ["frames"],
    }
    if (target / INDEX).is_file():  # then films are not decoded again
        refuse_other(target, read_index(target), wanted)
        return Clips(target)
    lengths = [_length(film, every) for film in tqdm(films, desc="films", unit="film", delay=1)]
    apart = sum(length >= frames for length in lengths) == 1
    cuts = [
        (number, start)
        for number, length in enumerate(lengths)
        for start in (range(0, length - frames + 1, frames) if apart else spread(length, frames))
    ]
    if not cuts:
        raise DatasetError(
            f"no film in {source} has {frames} frames; the longest has {max(lengths)}: ask for fewer by --frames"
            f"{' or --every' if every > 1 else ''}."
        )
    plan = {
        **wanted,
        "clips": len(cuts),
        "cuts": cuts,
        "sequences": list(range(len(cuts))) if apart else [number for number, _ in cuts],
        "command": f"latentctx videos build films --source {source} --frames {frames} --every {every}",
    }
    build(target, plan, workers=workers)
    return Clips(target)


def film_clips(plan: dict[str, Any], first: int, last: int) -> Iterator[Clip]:
    """Cut the clips first..last-1 of a plan; each film is read once a call."""
    for number, cuts in itertools.groupby(plan["cuts"][first:last], lambda cut: cut[0]):
        path = Path(plan["read_from"]) / plan["films"][number][0]
        starts = [start for _, start in cuts]
        shown = itertools.islice(frames_of(path), 0, None, plan["every"])
        span = starts[-1] + plan["frames"]
        small = [square(frame, plan["image_size"]) for frame in itertools.islice(shown, starts[0], span)]
        if len(small) < span - starts[0]:
            raise DatasetError(f"{path} became shorter while it was read: build the clips again.")
        for start in starts:
            first_frame = start - starts[0]
            yield Clip(frames=np.stack(small[first_frame : first_frame + plan["frames"]]))


def square(frame: np.ndarray, size: int) -> np.ndarray:
    """The middle square of a frame uint8 (h, w, 3), as (size, size, 3)."""
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = frame[top : top + side, left : left + side]
    if side == size:
        return middle
    resized = Image.fromarray(np.ascontiguousarray(middle)).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _length(film: Path, every: int) -> int:
    """Frames of a film that are taken."""
    return -(-sum(1 for _ in frames_of(film)) // every)


def _hash(film: Path) -> str:
    digest = sha256()
    for file in files_of(film):
        digest.update(f"{file.name} {sha256_of(file)}\n".encode())
    return digest.hexdigest()
