"""Encoders stored in half precision: half the bytes, nearly the same features, refusals in words."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from latentctx_envs.encoders import FrozenEncoder, load_encoder
from latentctx_envs.encoders.base import rounded

FRAMES = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def half(tiny_encoder: Any, tmp_path: Path) -> Path:
    tiny_encoder.save_pretrained(tmp_path / "half", precision="float16")
    return tmp_path / "half"


def test_half_the_bytes_are_stored_and_float32_is_loaded(half: Path, tiny_encoder_dir: Path) -> None:
    stored = load_file(half / "model.safetensors")
    whole = load_file(tiny_encoder_dir / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert sum(t.nbytes for t in stored.values()) == sum(t.nbytes for t in whole.values()) / 2
    assert json.loads((half / "config.json").read_text())["weights"] == "float16"
    assert {tensor.dtype for tensor in load_encoder(half).state_dict().values()} == {torch.float32}


def test_features_stay_close(tiny_encoder: Any, half: Path) -> None:
    difference = FrozenEncoder(half).encode(FRAMES) - FrozenEncoder(tiny_encoder).encode(FRAMES)
    assert 0.0 < np.abs(difference).max() < 2e-3  # of features in [-1, 1]


def test_what_is_loaded_is_the_rounded_encoder_and_rounding_again_changes_nothing(
    tiny_encoder: Any, half: Path, tmp_path: Path
) -> None:
    loaded = load_encoder(half)
    assert loaded.content_hash() == rounded(tiny_encoder).content_hash() != tiny_encoder.content_hash()
    loaded.save_pretrained(tmp_path / "again", precision="float16")
    assert load_encoder(tmp_path / "again").content_hash() == loaded.content_hash()


def test_rounding_leaves_the_encoder_alone(tiny_encoder: Any) -> None:
    before = tiny_encoder.content_hash()
    rounded(tiny_encoder)
    assert tiny_encoder.content_hash() == before


def test_buffers_are_not_rounded(tiny_encoder: Any, tmp_path: Path) -> None:
    """The mean image of a centred encoder above all: features would move ten times as much."""
    tiny_encoder.register_buffer("mean", torch.tensor(0.123456789))
    tiny_encoder.register_buffer("seen", torch.tensor(70_001))
    tiny_encoder.save_pretrained(tmp_path / "counting", precision="float16")
    stored = load_file(tmp_path / "counting" / "model.safetensors")
    assert stored["mean"] == tiny_encoder.mean and stored["seen"] == 70_001


def test_weights_that_half_precision_cannot_hold_are_refused_and_nothing_is_written(
    tiny_encoder: Any, tmp_path: Path, refuses: Any
) -> None:
    with torch.no_grad():
        tiny_encoder.dense.bias[0] = 1e5
    with refuses("dense.bias", "65,504", "float32"):
        tiny_encoder.save_pretrained(tmp_path / "large", precision="float16")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_precision_is_refused(tiny_encoder: Any, tmp_path: Path, refuses: Any) -> None:
    with refuses("float32 or float16", "'int8'"):
        tiny_encoder.save_pretrained(tmp_path / "small", precision="int8")


@pytest.mark.parametrize(
    ("said", "words"),
    [("float32", ("is float16", "not float32")), ("int8", ("weights must be", "'int8'")), ([1], ("[1]",))],
)
def test_a_config_that_does_not_fit_its_weights_is_refused(
    half: Path, refuses: Any, said: Any, words: tuple[str, ...]
) -> None:
    path = half / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "weights": said}))
    with refuses(*words):
        load_encoder(half)


def test_a_config_without_a_precision_means_float32(tiny_encoder: Any, tiny_encoder_dir: Path) -> None:
    path = tiny_encoder_dir / "config.json"
    config = json.loads(path.read_text())
    del config["weights"]
    path.write_text(json.dumps(config))
    assert load_encoder(tiny_encoder_dir).content_hash() == tiny_encoder.content_hash()
