"""Which content a dataset has, computed once as long as its file stays as it is.

What was computed is remembered under `LATENTCTX_CACHE`, by the place, the size and the time of the file.
"""

import json
from pathlib import Path

import minari

from latentctx_datasets import library
from latentctx_datasets.mapped import cache_root, digest_of, stamp
from latentctx_envs.replacing import replacing


def content_of(dataset: minari.MinariDataset) -> str:
    """The content hash of a dataset, whoever made it: the one that was recorded, or, of one that Minari alone wrote, its own.

    Raises:
        DatasetError: the dataset is damaged.
    """
    if "content_hash" in dataset.storage.metadata:
        return library.recorded_hash(dataset)
    return _computed(dataset)


def verified(dataset_id: str) -> str:
    """`library.verify`, without reading a file again that has not changed since.

    Raises:
        DatasetError: the content was changed after the dataset was built.
    """
    dataset = library.load(dataset_id)
    return library.compared(dataset, _computed(dataset))


def remember(dataset_id: str, content: str) -> None:
    """Keep the content hash of a dataset that was just written."""
    file = library.main_file(library.root() / dataset_id)
    _note(file, stamp(file), content)


def _computed(dataset: minari.MinariDataset) -> str:
    name = library.id_of(dataset)
    file = library.main_file(dataset.storage.data_path.parent)
    now = stamp(file)  # before the hash: of what it reads; [] where Minari keeps the data in another format
    try:
        known = json.loads(_place(file).read_text())
    except (OSError, ValueError):
        known = {}
    if now and known.get("stamp") == now:
        return str(known["content"])
    with library.told_damage(name):
        content = library.content_hash(dataset)
    _note(file, now, content)
    return content


def _note(file: Path, now: list[int], content: str) -> None:
    if not now:
        return
    try:
        _place(file).parent.mkdir(parents=True, exist_ok=True)
        with replacing(_place(file)) as fresh:
            fresh.write_text(json.dumps({"stamp": now, "content": content}) + "\n")
    except OSError:
        return  # a read-only cache: computed every time


def _place(file: Path) -> Path:
    return cache_root() / "hashes" / f"{digest_of({'file': str(file.resolve())})}.json"
