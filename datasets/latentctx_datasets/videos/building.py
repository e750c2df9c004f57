"""Build a set of clips shard by shard, in several processes, going on where a killed build ended.

build.json        what is built, while it is
shard-000.json    a shard that is finished: sizes and sha256 of its files
index.json        all of this, once every shard is there; the others go

What workers (`latentctx_datasets.tickets`) build is in build.json, and a source is looked up by its name. Which process
makes which shard changes no byte, because a clip depends on its number alone.
"""

import contextlib
import json
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from latentctx_datasets.library import DatasetError
from latentctx_datasets.tickets import Wanted, done_by_workers
from latentctx_datasets.videos.clips import FORMAT_VERSION, INDEX, Clip, read_index
from latentctx_envs.cores import available_cores
from latentctx_envs.locks import locked
from latentctx_envs.replacing import replacing, sha256_of

PLAN = "build.json"
SHARD = 100  # clips, unless the plan says otherwise; 37 MB of 30 frames of 64 px
FEW_CLIPS = 50  # with fewer a second process is not worth its start

Source = Callable[[dict[str, Any], int, int], Iterator[Clip]]


def source_of(plan: dict[str, Any]) -> Source:
    """The function that makes clips first..last-1 of a plan.

    Raises:
        DatasetError: the plan's source is unknown.
    """
    name = plan["source"]
    if name == "push":
        from latentctx_datasets.videos.push import push_clips as source
    elif name == "bair":
        from latentctx_datasets.videos.bair import bair_clips as source
    elif name == "meta-world":
        from latentctx_datasets.videos.meta_world import meta_world_clips as source
    elif name == "play":
        from latentctx_datasets.videos.play import play_clips as source
    elif name == "films":
        from latentctx_datasets.videos.films import film_clips as source
    else:
        raise DatasetError(f"clips come from push, play, meta-world, films or bair; got {name!r}.")
    return source


def spread(length: int, frames: int) -> list[int]:
    """Where the clips of a sequence begin: as few as cover it, evenly; none if it is too short."""
    if length < frames:
        return []
    return np.linspace(0, length - frames, -(-length // frames)).round().astype(int).tolist()


def build(folder: Path, plan: dict[str, Any], *, workers: int | None = None) -> str:
    """Build the clips of a plan unless they are there; the set's content hash.

    Args:
        folder: new, or of the same plan.
        plan: JSON values: source, clips, frames, image_size, arrays (names), command, and what the source needs; also
            shard, clips in a file, if not 100.
        workers: processes; by default one a core. 1 builds in this process.

    Raises:
        DatasetError: the folder holds something else, or the disk has no room.
        RuntimeError: a worker failed.
        ValueError: workers is below 1.
    """
    plan, folder = json.loads(json.dumps(plan)), folder.absolute()  # "." has no name
    with locked(folder):
        if (folder / INDEX).is_file():
            index = read_index(folder)
            refuse_other(folder, index, plan)
            return index["content_hash"]
        _begin(folder, plan)
        shards = range(-(-plan["clips"] // plan.get("shard", SHARD)))
        missing = [number for number in shards if not _record(folder, number).is_file()]
        left = sum(last - first for first, last in (_bounds(plan, number) for number in missing))
        bar = tqdm(total=plan["clips"], initial=plan["clips"] - left, desc="clips", unit="clip", delay=1)
        with bar, contextlib.closing(_run(folder, plan, missing, left, workers)) as finished:
            for number in finished:
                first, last = _bounds(plan, number)
                bar.update(last - first)
        return _finish(folder, plan, shards)


def build_shard(folder: Path, plan: dict[str, Any], number: int, wanted: Wanted = lambda: True) -> bool:
    """Write one shard's files and, last, its record; False if it was given up.

    Args:
        folder: of the set.
        plan: of the set.
        number: of the shard.
        wanted: asked after every clip and before every file; False gives up.
    """
    first, last = _bounds(plan, number)
    clips: list[Clip] = []
    for clip in source_of(plan)(plan, first, last):
        clips.append(clip)
        if not wanted():
            return False
    files = {}
    for name in plan["arrays"]:
        path = folder / f"{name}-{number:03d}.npy"
        if not wanted():
            return False
        with replacing(path) as fresh, fresh.open("wb") as stream:
            np.save(stream, np.stack([getattr(clip, name) for clip in clips]), allow_pickle=False)
        files[path.name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    write_json(_record(folder, number), {"clips": last - first, "files": files})
    return True


def _begin(folder: Path, plan: dict[str, Any]) -> None:
    """Take a new folder, or one in which the same build was interrupted."""
    if folder.exists() and any(folder.iterdir()):
        try:
            begun = json.loads((folder / PLAN).read_text())
        except (OSError, ValueError):
            raise DatasetError(f"{folder} holds something else: choose another folder by --path.") from None
        refuse_other(folder, begun, plan)
    folder.mkdir(parents=True, exist_ok=True)
    needed = plan["clips"] * plan["frames"] * plan["image_size"] ** 2 * 3
    there = sum(file.stat().st_size for file in folder.glob("frames-*.npy"))
    free = shutil.disk_usage(folder).free
    if free < needed - there:
        raise DatasetError(
            f"the clips need {(needed - there) / 1e9:.1f} GB in {folder}, {free / 1e9:.1f} GB are free: "
            "choose a larger disk by --path."
        )
    write_json(folder / PLAN, plan)


def refuse_other(folder: Path, there: dict[str, Any], plan: dict[str, Any]) -> None:
    """Refuse a folder whose plan differs from this one in more than its command."""
    differing = [name for name in plan if name != "command" and there.get(name) != plan[name]]
    if differing:
        name = differing[0]
        raise DatasetError(
            f"{folder} holds other clips ({name} {there.get(name)}, not {plan[name]}): choose another folder by "
            "--path, or move it away."
        )


def _finish(folder: Path, plan: dict[str, Any], shards: Sequence[int]) -> str:
    records = [json.loads(_record(folder, number).read_text()) for number in shards]
    index = {
        "format_version": FORMAT_VERSION,
        **plan,
        "content_hash": content_hash_of(records),
        "shards": records,
    }
    write_json(folder / INDEX, index)
    for file in (folder / PLAN, *(_record(folder, number) for number in shards)):
        file.unlink()
    return index["content_hash"]


def content_hash_of(records: Sequence[dict[str, Any]]) -> str:
    """sha256 of the names and hashes of all files of a set, shard by shard."""
    digest = sha256()
    for record in records:
        for name, file in sorted(record["files"].items()):
            digest.update(f"{name} {file['sha256']}\n".encode())
    return digest.hexdigest()


def _run(
    folder: Path, plan: dict[str, Any], missing: list[int], left: int, workers: int | None
) -> Generator[int]:
    """Yield the missing shards as they are finished."""
    wanted = available_cores() if workers is None else workers
    if wanted < 1:
        raise ValueError(f"workers start at 1; got {wanted}.")
    count = min(wanted, len(missing))
    if count <= 1 or (workers is None and left < FEW_CLIPS):
        for number in missing:
            build_shard(folder, plan, number)
            yield number
        return
    yield from done_by_workers("latentctx_datasets.videos.build_worker", folder, missing, count)


def _bounds(plan: dict[str, Any], number: int) -> tuple[int, int]:
    """First clip of a shard, and the one after its last."""
    size = plan.get("shard", SHARD)
    return number * size, min((number + 1) * size, plan["clips"])


def _record(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:03d}.json"


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write JSON in one move."""
    with replacing(path) as fresh:
        fresh.write_text(json.dumps(value, indent=1) + "\n")
