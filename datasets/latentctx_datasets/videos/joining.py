"""Several sets of clips as one, without a second copy of their frames."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from latentctx_datasets.library import DatasetError
from latentctx_datasets.videos.building import content_hash_of, refuse_other, write_json
from latentctx_datasets.videos.clips import FORMAT_VERSION, INDEX, Clips, clips_root, open_clips, read_index
from latentctx_envs.locks import locked
from latentctx_envs.replacing import replacing

SOURCE = "joined"
ALIKE = ("interval_s", "render_profile", "action_repeat", "family")
BEGUN = "join.json"  # marks a folder in which a join was interrupted


def join(name: str, sets: Sequence[str | Path], folder: Path | str | None = None) -> Clips:
    """Make one set of several, or open it if it is there; a killed join goes on.

    Files are linked where the disk allows that, else copied: the sets stay as they are and may be removed afterwards. Labels are
    kept if all sets have them. Sequences stay apart, so that what is held out is a share of the whole.

    Args:
        name: of the new set.
        sets: names or folders of two or more sets of one length and size.
        folder: where to; by default `name` in `clips_root()`.

    Raises:
        DatasetError: a set is missing or damaged, they differ in length or size or have clips in common, or the folder holds something else.
        ValueError: there are fewer than two sets, or one twice.
    """
    if len(sets) < 2:
        raise ValueError(f"a join takes two sets at least; got {len(sets)}.")
    target = clips_root() / name if folder is None else Path(folder)
    parts = [open_clips(part) for part in sets]
    plan = _plan(name, sets, parts)
    decisive = {fact: value for fact, value in plan.items() if fact not in ALIKE}  # follow from the hashes
    with locked(target):
        if (target / INDEX).is_file():
            refuse_other(target, read_index(target), decisive)
            return Clips(target)
        if (target / BEGUN).is_file():
            refuse_other(target, json.loads((target / BEGUN).read_text()), decisive)
        elif target.exists() and any(target.iterdir()):
            raise DatasetError(f"{target} holds something else: choose another folder by --path.")
        target.mkdir(parents=True, exist_ok=True)
        write_json(target / BEGUN, plan)
        records = list(_linked(parts, plan["arrays"], target))
        index = {"format_version": FORMAT_VERSION, **plan, "content_hash": content_hash_of(records)}
        write_json(target / INDEX, {**index, "shards": records})
        (target / BEGUN).unlink()
    return Clips(target)


def _plan(name: str, sets: Sequence[str | Path], parts: list[Clips]) -> dict[str, Any]:
    hashes = [part.facts["content_hash"] for part in parts]
    if len(set(hashes)) < len(hashes):
        raise ValueError("each set is joined once; the same clips were named twice.")
    for part in parts[1:]:
        if (part.length, part.image_size) != (parts[0].length, parts[0].image_size):
            raise DatasetError(
                f"clips of {parts[0].folder.name} have {parts[0].length} frames of {parts[0].image_size} px, those of "
                f"{part.folder.name} {part.length} of {part.image_size}: build them alike."
            )
    _refuse_shared(parts)
    arrays = [
        name for name in parts[0].facts["arrays"] if all(name in part.facts["arrays"] for part in parts)
    ]
    sequences: list[int] = []
    for part in parts:
        own = part.facts.get("sequences", list(range(len(part))))
        first = max(sequences, default=-1) + 1
        sequences += [first + number for number in own]
    return {
        "source": SOURCE,
        "sets": [part.folder.name for part in parts],
        "hashes": hashes,
        "clips": len(sequences),
        "frames": parts[0].length,
        "image_size": parts[0].image_size,
        "sequences": sequences,
        "arrays": arrays,
        "command": f"latentctx videos join {name} {' '.join(map(str, sets))}",
        **_shared(parts),
    }


def _refuse_shared(parts: list[Clips]) -> None:
    """Refuse sets that have clips in common: some would be trained on and held out.

    Clips are decided by their seed, one after the other, so that a smaller set of a seed is the beginning of a larger one.

    Raises:
        DatasetError: two begin with the same clip, or have a file in common.
    """
    owners: dict[bytes | str, Clips] = {}
    for part in parts:
        files = {
            json.dumps(shard["files"][f"frames-{old:03d}.npy"])
            for old, shard in enumerate(part.facts["shards"])
        }
        for mark in (part[0].tobytes(), *files):
            if mark in owners:
                raise DatasetError(
                    f"{owners[mark].folder.name} and {part.folder.name} have clips in common, which would be trained on and held "
                    "out: build one with another seed."
                )
        owners |= dict.fromkeys((part[0].tobytes(), *files), part)


def _shared(parts: list[Clips]) -> dict[str, Any]:
    """What all sets say alike of how their frames were made."""
    told = [{**part.facts, "action_repeat": part.action_repeat, "family": part.family} for part in parts]
    found = {name: {facts.get(name) for facts in told} for name in ALIKE}
    return {name: values.pop() for name, values in found.items() if len(values) == 1 and None not in values}


def _linked(parts: list[Clips], arrays: list[str], target: Path) -> Iterator[dict[str, Any]]:
    """Bring the files of all shards into the target under new numbers; their records."""
    number = 0
    for part in parts:
        for old, shard in enumerate(part.facts["shards"]):
            files = {}
            for array in arrays:
                source, file = part.folder / f"{array}-{old:03d}.npy", target / f"{array}-{number:03d}.npy"
                _bring(source, file)
                files[file.name] = shard["files"][source.name]
            yield {"clips": shard["clips"], "files": files}
            number += 1


def _bring(source: Path, file: Path) -> None:
    """Link a file, or copy it to another disk."""
    file.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), file)
    except OSError:
        with replacing(file) as fresh:
            shutil.copyfile(source, fresh)
