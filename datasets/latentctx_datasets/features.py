"""The feature cache: what a frozen encoder makes of a store's frames, computed once and memory-mapped.

One folder per (encoder's architecture and weights, store, crops) under `LATENTCTX_CACHE`. Finetuning reads its rows
instead of encoding frames at every step. Random crops would defeat that, so K shifts of each frame are drawn and encoded
once; a learner then draws one of the K.

Features of the same key may differ in the last bits between processors and torch versions: these are not in the key.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latentctx_datasets import mapped
from latentctx_datasets.library import DatasetError
from latentctx_datasets.shifts import draw_shifts, shift_into
from latentctx_datasets.store import PixelStore

if TYPE_CHECKING:
    from latentctx_envs.encoders import Encoder, FrozenEncoder

FORMAT_VERSION = 1
CHECKED = 8  # rows of a cache that are compared when it is opened
TOLERANCE = 0.01  # of the largest feature: processors and batches differ by less
CHUNK = 512  # frames, as many as a FrozenEncoder encodes at once: rows are those of `encode(store.frames)` to the bit
KIND = mapped.Kind(
    name="feature cache",
    arrays=("features", "shifts"),
    format_version=FORMAT_VERSION,
    remedy="the frames will be encoded again",
)


class FeatureStore:
    """Features of a store's frames as memory-mapped arrays; open one with `open_features`.

    Attributes:
        features: float32 (f, d), or (f, k, d) with k crops; row f belongs to frame f of the store.
        shifts: int16 (f, k, 2), the shift (down, right) of each crop [pixels].
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        manifest = mapped.verified_manifest(path, KIND, lambda m: (m["encoder"], m["store"]))
        self.key: str = manifest["key"]
        self.encoder_hash: str = manifest["encoder"]
        self.store_key: str = manifest["store"]
        self.features, self.shifts = mapped.open_arrays(path, KIND)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process maps the folder anew; pickling a mapped array would copy all of it."""
        return type(self), (self.path,)


def open_features(
    store: PixelStore,
    encoder: "str | Path | Encoder | FrozenEncoder",
    *,
    episodes: int | None = None,
    crops: int = 0,
    pad: int = 0,
    seed: int = 0,
    device: str = "cpu",
) -> FeatureStore:
    """The features of a store's frames, encoded first if they are not there.

    Args:
        store: the pixel store.
        encoder: the encoder (of a module a copy is taken), a directory, a zoo name or a hub id.
        episodes: only the first so many episodes; by default all.
        crops: k, random shifts of each frame; 0 for the frames as they are.
        pad: largest shift of the crops [pixels].
        seed: of the shifts.
        device: torch device that encodes.

    Raises:
        ValueError: a number is out of range, or the encoder takes frames of another size or remembers what it saw.
        DatasetError: the cache was changed since it was built, or was built when the encoder's code was another, or the
            disk has no room for it.
    """
    from latentctx_envs.encoders import FrozenEncoder, check_pixels  # torch, which the rest does without
    from latentctx_envs.encoders.stateful import refuse_memory

    frozen = encoder if isinstance(encoder, FrozenEncoder) else FrozenEncoder(encoder, device=device)
    refuse_memory(frozen.module, "a feature cache")
    check_pixels(store.frames[:1], frozen.module.input_shape)
    if crops < 0 or (pad < 1) != (crops == 0):
        raise ValueError(f"crops and pad both start at 1, or both are 0; got crops={crops}, pad={pad}.")
    rows = _rows(store, episodes)
    facts = {
        "encoder": frozen.module.content_hash(),
        "store": store.key,
        "rows": rows,
        "crops": crops,
        "pad": pad,
        "seed": seed if crops else 0,
    }
    path = mapped.cache_root() / "features" / mapped.digest_of({"format": FORMAT_VERSION, **facts})
    mapped.ensure(path, KIND, lambda partial: {**facts, **_build(store, frozen, facts, partial)})
    found = FeatureStore(path)
    if not type(frozen.module).__module__.startswith("latentctx_envs."):
        _check_code(store, frozen, found)
    return found


def _check_code(store: PixelStore, encoder: "FrozenEncoder", found: FeatureStore) -> None:
    """Compare some rows with what an encoder of one's own makes of their frames now: no key tells that its code was changed.

    Raises:
        DatasetError: they differ by more than processors do.
    """
    rows = np.unique(np.linspace(0, len(found.features) - 1, CHECKED, dtype=np.int64))
    frames = np.asarray(store.frames[rows])
    if found.features.ndim == 3:
        shifted = np.empty_like(frames)
        shift_into(shifted, frames, found.shifts[rows, 0])
        frames = shifted
    kept = found.features[rows] if found.features.ndim == 2 else found.features[rows, 0]
    if np.abs(encoder.encode(frames) - kept).max() > TOLERANCE * max(np.abs(kept).max(), 1e-6):
        raise DatasetError(
            f"the features of {type(encoder.module).__name__} are not those in {found.path}, which were made by other code: "
            f"remove that folder and {KIND.remedy}."
        )


def _rows(store: PixelStore, episodes: int | None) -> int:
    """Number of frames of the first episodes."""
    if episodes is None:
        return len(store.frames)
    if not 1 <= episodes <= len(store):
        raise ValueError(f"episodes must be in [1, {len(store)}]; got {episodes}.")
    return int(store.starts[episodes - 1] + store.lengths[episodes - 1] + 1)


def _build(
    store: PixelStore, encoder: "FrozenEncoder", facts: dict[str, Any], partial: Path
) -> dict[str, Any]:
    rows, crops, dim = facts["rows"], facts["crops"], encoder.module.features_dim
    rng = np.random.default_rng(facts["seed"])
    shifts = draw_shifts(rows * crops, facts["pad"], rng).reshape(rows, crops, 2).astype(np.int16)
    np.save(partial / "shifts.npy", shifts, allow_pickle=False)
    shape = (rows, crops, dim) if crops else (rows, dim)
    file = mapped.allocate(partial, "features", np.float32, shape, KIND)
    missing = mapped.missing_chunks(partial, rows, CHUNK)
    done = rows - sum(last - first for first, last in missing)
    finished = _encode(store, encoder, shifts, file, missing)
    mapped.record_chunks(partial, finished, done=done, total=rows, label="encode", unit="frame")
    return {"dataset_id": store.dataset_id, "encoder_class": type(encoder.module).__name__}


def _encode(
    store: PixelStore,
    encoder: "FrozenEncoder",
    shifts: np.ndarray,
    file: Path,
    chunks: list[tuple[int, int]],
) -> Iterator[tuple[int, int]]:
    """Fill the chunks' rows of the mapped file one after the other."""
    features = np.load(file, mmap_mode="r+", allow_pickle=False)
    for first, last in chunks:
        frames = np.asarray(store.frames[first:last])
        if features.ndim == 2:
            features[first:last] = encoder.encode(frames)
        else:
            for crop in range(features.shape[1]):
                shifted = np.empty_like(frames)
                shift_into(shifted, frames, shifts[first:last, crop])
                features[first:last, crop] = encoder.encode(shifted)
        features.flush()
        yield first, last
