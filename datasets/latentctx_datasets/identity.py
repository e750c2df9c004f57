"""Which content a dataset has: the hash that this project recorded, or one that is computed once for other makers' files."""

import json

import minari

from latentctx_datasets import library
from latentctx_datasets.mapped import cache_root, digest_of, stamp
from latentctx_envs.replacing import replacing


def content_of(dataset: minari.MinariDataset) -> str:
    """The content hash of a dataset, whoever made it.

    Of one that Minari alone recorded it is computed, and remembered under `LATENTCTX_CACHE` until its file's size or time
    changes.

    Raises:
        DatasetError: the dataset is damaged.
    """
    if "content_hash" in dataset.storage.metadata:
        return library.recorded_hash(dataset)
    name = library.id_of(dataset)
    file = library.main_file(dataset.storage.data_path.parent)
    note = cache_root() / "hashes" / f"{digest_of({'file': str(file.resolve())})}.json"
    now = stamp(file)  # before the hash: of what it reads; [] where Minari keeps the data in another format
    try:
        known = json.loads(note.read_text())
    except (OSError, ValueError):
        known = {}
    if now and known.get("stamp") == now:
        return str(known["content"])
    with library.told_damage(name):
        content = library.content_hash(dataset)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        with replacing(note) as fresh:
            fresh.write_text(json.dumps({"stamp": now, "content": content}) + "\n")
    except OSError:
        return content  # a read-only cache: computed every time
    return content
