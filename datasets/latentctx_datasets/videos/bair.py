"""BAIR's robot pushing videos (arXiv 1710.05268) as clips, read from their TFRecords; the 30 GB are yours to download.

The archive unpacks to `softmotion30_44k/{train,test}`. A record is a clip of 30 frames of two cameras, 64 px, raw bytes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from latentctx_datasets.library import DatasetError
from latentctx_datasets.videos.building import build
from latentctx_datasets.videos.clips import IMAGE_SIZE, Clip, Clips, clips_root
from latentctx_datasets.videos.tfrecord import Features, count_records, read_example, read_records

NAME = "bair"
FRAMES = 30  # of a clip
SHARD = 250  # clips in a file, 92 MB: each file of an open set takes a descriptor, and 173 are few
ACTION, POSITION = 4, 3  # numbers of an action, and of where the gripper is
Camera = Literal["image_aux1", "image_main"]


def build_bair(
    source: Path | str,
    folder: Path | str | None = None,
    *,
    camera: Camera = "image_aux1",
    clips: int | None = None,
    workers: int | None = None,
) -> Clips:
    """Read the TFRecords of a folder into clips, or open them if they are there; a killed reading goes on.

    Args:
        source: folder of `*.tfrecords`.
        folder: where to; by default "bair" in `clips_root()`.
        camera: "image_aux1", as is usual, or "image_main".
        clips: only the first so many.
        workers: processes; by default one a core.

    Raises:
        DatasetError: there are no such files, one is damaged, or there are fewer clips than asked for.
    """
    source = Path(source).expanduser()
    files = sorted(source.glob("*.tfrecord*"))
    if not files:
        raise DatasetError(f"{source} holds no *.tfrecords: name BAIR's folder softmotion30_44k/train.")
    if camera not in ("image_aux1", "image_main"):
        raise DatasetError(f"camera is image_aux1 or image_main; got {camera!r}.")
    counts = [count_records(file) for file in files]
    there = sum(counts)
    if there < 1:
        raise DatasetError(f"the *.tfrecords in {source} are empty: download them again.")
    if clips is not None and not 1 <= clips <= there:
        raise DatasetError(f"{source} holds {there} clips; got clips={clips}.")
    wanted = there if clips is None else clips
    target = clips_root() / NAME if folder is None else Path(folder)
    plan = {
        "source": NAME,
        "clips": wanted,
        "frames": FRAMES,
        "image_size": IMAGE_SIZE,
        "shard": SHARD,
        "interval_s": 0.1,
        "camera": camera,
        "files": [[file.name, count] for file, count in zip(files, counts, strict=True)],
        "read_from": str(source.resolve()),
        "arrays": ["frames", "actions", "hand"],
        "command": f"latentctx videos build bair --source {source} --camera {camera} --clips {wanted}",
    }
    build(target, plan, workers=workers)
    return Clips(target)


def bair_clips(plan: dict[str, Any], first: int, last: int) -> Iterator[Clip]:
    """Read the clips first..last-1 of a plan."""
    begin = 0
    for name, count in plan["files"]:
        path = Path(plan["read_from"]) / name
        start, end = max(first - begin, 0), min(last - begin, count)
        if start < end:
            records = read_records(path, start)
            for number in range(start, end):
                yield _clip(next(records), plan["camera"], f"{path}, record {number}")
        begin += count


def _clip(payload: bytes, camera: str, where: str) -> Clip:
    try:
        features = read_example(payload)
    except (ValueError, KeyError) as error:
        raise DatasetError(f"{where}: no tf.train.Example ({error}).") from None
    frames = np.stack([_frame(features, f"{time}/{camera}/encoded", where) for time in range(FRAMES)])
    actions = [_numbers(features, f"{time}/action", ACTION, where) for time in range(FRAMES - 1)]
    places = [_numbers(features, f"{time}/endeffector_pos", POSITION, where) for time in range(FRAMES)]
    hand = np.zeros((FRAMES, 4), np.float32)  # no yaw is recorded
    hand[:, :POSITION] = places
    return Clip(frames=frames, actions=np.stack(actions), hand=hand)


def _frame(features: Features, key: str, where: str) -> np.ndarray:
    content = _of(features, key, where)
    size = IMAGE_SIZE * IMAGE_SIZE * 3
    if not isinstance(content, list) or len(content) != 1 or len(content[0]) != size:
        raise DatasetError(f"{where}: {key} must be one frame of {size} raw bytes.")
    return np.frombuffer(content[0], np.uint8).reshape(IMAGE_SIZE, IMAGE_SIZE, 3)


def _numbers(features: Features, key: str, count: int, where: str) -> np.ndarray:
    content = _of(features, key, where)
    if not isinstance(content, np.ndarray) or content.shape != (count,) or content.dtype != np.float32:
        raise DatasetError(f"{where}: {key} must be {count} floats.")
    return content


def _of(features: Features, key: str, where: str) -> list[bytes] | np.ndarray:
    if key not in features:
        raise DatasetError(f"{where}: it has no {key}; is this BAIR's softmotion30_44k?")
    return features[key]
