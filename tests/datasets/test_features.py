"""The feature cache: values, crops, keys, resuming, damage."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from latentctx_datasets import DatasetError, PixelStore, View, features, mapped, open_features, open_store
from latentctx_datasets.shifts import shift_into
from latentctx_envs.encoders import ConvNet, ConvNetConfig, Encoder, FrozenEncoder

Refuses = Callable[..., Any]


@pytest.fixture
def store(tiny: str) -> PixelStore:
    return open_store(tiny, View(image_size=32, render_profile="turbo"), workers=1)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of frames of each call of an encoder from now on; chunks of 150 frames."""
    calls: list[int] = []
    encode = FrozenEncoder.encode

    def record(self: FrozenEncoder, pixels: np.ndarray) -> np.ndarray:
        calls.append(len(pixels))
        return encode(self, pixels)

    monkeypatch.setattr(features, "CHUNK", 150)
    monkeypatch.setattr(FrozenEncoder, "encode", record)
    return calls


def other_weights(encoder: Encoder) -> Encoder:
    """The same architecture with one weight changed a little."""
    assert isinstance(encoder, ConvNet)
    other = ConvNet(encoder.config)
    other.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        other.dense.bias[0] += 1e-6
    return other


def test_rows_are_the_features_of_the_stores_frames(store: PixelStore, tiny_encoder: Encoder) -> None:
    cache = open_features(store, tiny_encoder)
    assert (cache.features.shape, cache.features.dtype) == ((404, 8), np.float32)
    np.testing.assert_array_equal(cache.features, FrozenEncoder(tiny_encoder).encode(store.frames))
    assert isinstance(cache.features, np.memmap) and not cache.features.flags.writeable


def test_another_process_maps_features_instead_of_receiving_a_copy(
    store: PixelStore, tiny_encoder: Encoder
) -> None:
    cache = open_features(store, tiny_encoder)
    sent = pickle.dumps(cache)
    received = pickle.loads(sent)
    assert len(sent) < 1000 < cache.features.nbytes
    assert isinstance(received.features, np.memmap)
    np.testing.assert_array_equal(received.features, cache.features)


def test_only_the_first_episodes_are_encoded_if_asked(store: PixelStore, tiny_encoder: Encoder) -> None:
    cache = open_features(store, tiny_encoder, episodes=2)
    expected = FrozenEncoder(tiny_encoder).encode(store.frames[:202])
    np.testing.assert_array_equal(cache.features, expected)


def test_crops_are_the_features_of_shifted_frames(store: PixelStore, tiny_encoder: Encoder) -> None:
    cache = open_features(store, tiny_encoder, episodes=1, crops=3, pad=4)
    assert (cache.features.shape, cache.shifts.shape) == ((101, 3, 8), (101, 3, 2))
    assert cache.shifts.min() == -4 and cache.shifts.max() == 4
    shifted = np.empty_like(store.frames[:101], subok=False)
    for crop in range(3):
        shift_into(shifted, store.frames[:101], cache.shifts[:, crop])
        np.testing.assert_array_equal(cache.features[:, crop], FrozenEncoder(tiny_encoder).encode(shifted))


def test_a_second_run_finds_the_cache(
    store: PixelStore, tiny_encoder: Encoder, tiny_encoder_dir: Path, encoded: list[int]
) -> None:
    first = open_features(store, tiny_encoder)
    assert sum(encoded) == 404
    for same in (tiny_encoder, tiny_encoder_dir, str(tiny_encoder_dir), FrozenEncoder(tiny_encoder)):
        assert open_features(store, same, seed=5).path == first.path  # no crops, so no seed
    assert sum(encoded) == 404


def test_key_changes_with_encoder_store_and_crops(
    tiny: str, store: PixelStore, tiny_encoder: Encoder, encoded: list[int]
) -> None:
    other_store = open_store(tiny, View(image_size=32, render_profile="turbo", goal_visible=True), workers=1)
    caches = [
        open_features(store, tiny_encoder, episodes=1),
        open_features(other_store, tiny_encoder, episodes=1),
        open_features(store, other_weights(tiny_encoder), episodes=1),
        open_features(store, tiny_encoder, episodes=2),
        open_features(store, tiny_encoder, episodes=1, crops=1, pad=1),
        open_features(store, tiny_encoder, episodes=1, crops=2, pad=1),
        open_features(store, tiny_encoder, episodes=1, crops=1, pad=2),
        open_features(store, tiny_encoder, episodes=1, crops=1, pad=1, seed=1),
    ]
    assert len({cache.key for cache in caches}) == len(caches)


def test_equal_seeds_give_equal_crops(store: PixelStore, tiny_encoder: Encoder) -> None:
    one = open_features(store, tiny_encoder, episodes=1, crops=2, pad=2)
    before = np.array(one.features)
    shutil.rmtree(one.path)
    again = open_features(store, tiny_encoder, episodes=1, crops=2, pad=2)
    np.testing.assert_array_equal(again.features, before)


@pytest.mark.parametrize("options", [{}, {"crops": 2, "pad": 3}])
def test_a_killed_build_is_resumed_with_the_missing_chunks_only(
    store: PixelStore,
    tiny_encoder: Encoder,
    encoded: list[int],
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, int],
) -> None:
    encode = FrozenEncoder.encode
    views = options.get("crops", 1)

    def dies_in_the_third_chunk(self: FrozenEncoder, pixels: np.ndarray) -> np.ndarray:
        if len(encoded) == 2 * views:
            raise KeyboardInterrupt
        return encode(self, pixels)

    with monkeypatch.context() as patch:
        patch.setattr(FrozenEncoder, "encode", dies_in_the_third_chunk)
        with pytest.raises(KeyboardInterrupt):
            open_features(store, tiny_encoder, **options)
    assert encoded == [150] * 2 * views
    cache = open_features(store, tiny_encoder, **options)
    assert encoded == [150] * 2 * views + [104] * views
    np.testing.assert_allclose(
        cache.features, whole(store, tiny_encoder, cache), atol=1e-4
    )  # chunks of another size round differently
    assert not list(cache.path.parent.glob("*.partial"))


def whole(store: PixelStore, encoder: Encoder, cache: features.FeatureStore) -> np.ndarray:
    """The features of a cache, computed at once."""
    frozen = FrozenEncoder(encoder)
    if cache.features.ndim == 2:
        return frozen.encode(store.frames)
    views = []
    for crop in range(cache.features.shape[1]):
        shifted = np.empty_like(store.frames, subok=False)
        shift_into(shifted, store.frames, cache.shifts[:, crop])
        views.append(frozen.encode(shifted))
    return np.stack(views, axis=1)


def flip_a_byte(path: Path) -> None:
    with (path / "features.npy").open("r+b") as file:
        file.seek(5000)
        byte = file.read(1)[0]
        file.seek(5000)
        file.write(bytes([byte ^ 1]))


def cut(path: Path) -> None:
    with (path / "features.npy").open("r+b") as file:
        file.truncate(1000)


def remove_shifts(path: Path) -> None:
    (path / "shifts.npy").unlink()


def forget_encoder(path: Path) -> None:
    manifest = json.loads((path / mapped.MANIFEST).read_text())
    del manifest["encoder"]
    (path / mapped.MANIFEST).write_text(json.dumps(manifest))


DAMAGES = {
    flip_a_byte: "features.npy was changed",
    cut: "features.npy has 1000 bytes instead of",
    remove_shifts: "shifts.npy has 0 bytes",
    forget_encoder: "manifest is missing or damaged",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_refused_with_the_folder_to_remove(
    damage: Callable[[Path], None], store: PixelStore, tiny_encoder: Encoder, refuses: Refuses
) -> None:
    path = open_features(store, tiny_encoder).path
    damage(path)
    with refuses("the feature cache's", DAMAGES[damage], f"remove {path}", error=DatasetError):
        open_features(store, tiny_encoder)
    shutil.rmtree(path)
    assert len(open_features(store, tiny_encoder).features) == 404


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"crops": 2}, "crops and pad both start at 1"),
        ({"pad": 2}, "crops and pad both start at 1"),
        ({"crops": -1, "pad": 1}, "crops and pad both start at 1"),
        ({"episodes": 0}, "episodes must be in [1, 4]"),
        ({"episodes": 5}, "episodes must be in [1, 4]"),
    ],
)
def test_numbers_out_of_range_are_refused(
    store: PixelStore, tiny_encoder: Encoder, options: dict[str, int], words: str, refuses: Refuses
) -> None:
    with refuses(words):
        open_features(store, tiny_encoder, **options)


def test_frames_of_another_size_are_refused(
    tiny: str, tiny_view: View, tiny_encoder: Encoder, refuses: Refuses
) -> None:
    with refuses("(batch, 32, 32, 3)", "(1, 12, 12, 3)"):
        open_features(open_store(tiny, tiny_view, workers=1), tiny_encoder)


def test_importing_the_datasets_does_not_import_torch(run_python: Callable[..., Any]) -> None:
    run_python("import sys, latentctx_datasets; assert 'torch' not in sys.modules")


def test_features_of_an_encoder_whose_code_was_changed_are_noticed(
    store: PixelStore, refuses: Refuses
) -> None:
    class Brightness(Encoder):
        input_shape, features_dim, factor = (32, 32, 3), 1, 1.0

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.factor * pixels.float().mean(dim=(1, 2, 3))[:, None]

    encoder = Brightness(ConvNetConfig())
    assert (
        open_features(store, encoder, crops=1, pad=1).path
        == open_features(store, encoder, crops=1, pad=1).path
    )
    open_features(store, encoder)
    Brightness.factor = 1.1  # as if its author went on working on it
    for crops in (0, 1):
        with refuses("the features of Brightness are not those in", "made by other code"):
            open_features(store, encoder, crops=crops, pad=crops)
