"""Which content a dataset has, and whether it is still the one that was written down when it was built.

The hash of a dataset is computed once as long as its file stays as it is: it is remembered under `LATENTCTX_CACHE`, by the
place, the size and the time of the file. `verify` and `verify_recorded` read the file all the same.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import minari
import numpy as np

from latentctx_datasets import library
from latentctx_datasets.library import DatasetError
from latentctx_datasets.mapped import cache_root, digest_of, stamp
from latentctx_envs.replacing import replacing


def content_hash(dataset: minari.MinariDataset) -> str:
    """sha256 over the arrays and metadata of every episode, whatever the file format.

    Rewards count as float32: the last bit of NumPy's float64 `exp` depends on the CPU (AVX-512 or not).
    """
    digest = hashlib.sha256()
    metadata = dataset.storage.get_episode_metadata(dataset.episode_indices)
    for episode, extra in zip(dataset.iterate_episodes(), metadata, strict=True):
        parts = {
            "observations": episode.observations,
            "actions": episode.actions,
            "rewards": np.asarray(episode.rewards, np.float32),
            "terminations": episode.terminations,
            "truncations": episode.truncations,
            "infos": episode.infos or {},
        }
        for name, value in sorted(leaves(parts), key=lambda leaf: leaf[0]):
            array = np.ascontiguousarray(value)
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes())
        digest.update(f"{extra.get('seed')} {extra.get('context_json')} {extra.get('split')}".encode())
    return digest.hexdigest()


def leaves(parts: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, Any]]:
    """What nested mappings hold, each by its path."""
    for key, value in parts.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{under}{key}/")
        else:
            yield f"{under}{key}", value


def recorded_hash(dataset: minari.MinariDataset) -> str:
    """The content hash that was written down when the dataset was built.

    Raises:
        DatasetError: none was (the dataset was not built by this package).
    """
    value = dataset.storage.metadata.get("content_hash")
    if not isinstance(value, str):
        raise DatasetError(
            f"{library.id_of(dataset)} carries no content hash: it was not built by latentctx."
        )
    return value


def content_of(dataset: minari.MinariDataset) -> str:
    """The content hash of a dataset, whoever made it: the one that was recorded, or, of one that Minari alone wrote, its own.

    Raises:
        DatasetError: the dataset is damaged.
    """
    return recorded_hash(dataset) if _is_recorded(dataset) else _computed(dataset)


def verify(dataset_id: str) -> str:
    """Recompute the content hash, compare it with the recorded one, and return it.

    Raises:
        DatasetError: the content was changed after the dataset was built.
    """
    dataset = library.load(dataset_id)
    return _compared(dataset, _read_hash(dataset))


def verified(dataset_id: str) -> str:
    """`verify`, without reading a file again that has not changed since.

    Raises:
        DatasetError: the content was changed after the dataset was built.
    """
    dataset = library.load(dataset_id)
    return _compared(dataset, _computed(dataset))


def verify_recorded(dataset: minari.MinariDataset) -> None:
    """`verify`, where there is a hash to compare with: datasets that Minari alone recorded have none.

    Raises:
        DatasetError: the content was changed after the dataset was built.
    """
    if _is_recorded(dataset):
        _compared(dataset, _read_hash(dataset))


def _read_hash(dataset: minari.MinariDataset) -> str:
    with library.told_damage(library.id_of(dataset)):
        return content_hash(dataset)


def _is_recorded(dataset: minari.MinariDataset) -> bool:
    return "content_hash" in dataset.storage.metadata


def _compared(dataset: minari.MinariDataset, actual: str) -> str:
    """The actual content hash of a dataset, which must be the recorded one.

    Raises:
        DatasetError: it is another.
    """
    dataset_id, expected = library.id_of(dataset), recorded_hash(dataset)
    if actual != expected:
        raise DatasetError(
            f"{dataset_id} was changed after it was built (hash {actual[:12]}, recorded {expected[:12]}): "
            f"{library.remedy(dataset_id)}."
        )
    return actual


def remember(dataset_id: str, content: str) -> None:
    """Keep the content hash of a dataset that was just written."""
    file = library.main_file(library.root() / dataset_id)
    _note(file, stamp(file), content)


def _computed(dataset: minari.MinariDataset) -> str:
    """The content hash of a dataset, remembered or computed."""
    file = library.main_file(dataset.storage.data_path.parent)
    now = stamp(file)  # before the hash: of what it reads; [] where Minari keeps the data in another format
    try:
        known = json.loads(_place(file).read_text())
    except (OSError, ValueError):
        known = {}
    if now and known.get("stamp") == now:
        return str(known["content"])
    content = _read_hash(dataset)
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
