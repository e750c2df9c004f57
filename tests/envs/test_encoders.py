"""Encoders: saving, loading and refusing, the convnet's shapes, the spatial softmax."""

import contextlib
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import numpy as np
import pytest
import torch
from gymnasium import spaces
from safetensors.torch import load_file, save_file

from latentctx_envs.encoders import (
    PAPER,
    ConvNet,
    ConvNetConfig,
    Encoder,
    FrozenEncoder,
    load_encoder,
    register_encoder,
    zoo_names,
)
from latentctx_envs.encoders.convnet import SpatialSoftmax
from latentctx_envs.encoders.registry import CLASSES
from latentctx_envs.encoders.stateful import Streams

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
Damage = Callable[[Path], Any]


def weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Damage:
    """Damage that rewrites the tensors."""
    return lambda d: save_file(change(load_file(d / "model.safetensors")), d / "model.safetensors")


def config(**values: Any) -> Damage:
    """Damage that overwrites entries of config.json."""

    def write(directory: Path) -> None:
        path = directory / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return write


def architecture(**values: Any) -> Damage:
    def write(directory: Path) -> None:
        stored = json.loads((directory / "config.json").read_text())["architecture"]
        config(architecture={**stored, **values})(directory)

    return write


def truncate(name: str) -> Damage:
    return lambda d: (d / name).write_bytes((d / name).read_bytes()[:100])


DAMAGES: dict[str, tuple[Damage, tuple[str, ...]]] = {
    "no config": (lambda d: (d / "config.json").unlink(), ("no config.json",)),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), ("no model.safetensors",)),
    "truncated config": (truncate("config.json"), ("config.json", "damaged")),
    "truncated weights": (truncate("model.safetensors"), ("model.safetensors", "damaged")),
    "empty weights": (lambda d: (d / "model.safetensors").write_bytes(b""), ("damaged",)),
    "pickled weights": (lambda d: torch.save({}, d / "model.safetensors"), ("damaged",)),
    "config is a list": (lambda d: (d / "config.json").write_text("[]"), ("format_version 1",)),
    "format_version": (config(format_version=2), ("format_version 1",)),
    "unknown class": (config(encoder="Oracle"), ("'Oracle'", "'ConvNet'")),
    "no architecture": (config(architecture=None), ("architecture",)),
    "unknown field": (architecture(depth=3), ("bad architecture", "'depth'")),
    "other shape": (architecture(features=9), ("has shape (8", "instead of (9")),
    "impossible size": (architecture(image_size=[4, 4]), ("too small",)),
    "nan": (weights(lambda t: {k: v * float("nan") for k, v in t.items()}), ("is not finite",)),
    "missing weight": (weights(lambda t: {k: t[k] for k in t if k != "norm.bias"}), ("missing norm.bias",)),
    "unknown weight": (weights(lambda t: {**t, "extra": torch.zeros(1)}), ("unknown extra",)),
}


def encode(encoder: torch.nn.Module, pixels: np.ndarray = PIXELS) -> torch.Tensor:
    with torch.inference_mode():
        return encoder(torch.from_numpy(pixels))


def test_tests_never_reach_the_network() -> None:
    assert huggingface_hub.constants.HF_HUB_OFFLINE


def test_saved_files_are_config_weights_and_card(tiny_encoder_dir: Path) -> None:
    files = sorted(path.name for path in tiny_encoder_dir.iterdir())
    assert files == ["README.md", "config.json", "model.safetensors"]


def test_weights_may_be_read_by_whoever_may_read_the_config(tiny_encoder_dir: Path) -> None:
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in tiny_encoder_dir.iterdir()}
    assert len(set(modes.values())) == 1, modes


@pytest.mark.parametrize("load", [ConvNet.from_pretrained, load_encoder])
def test_loaded_encoder_is_bit_exact(tiny_encoder, tiny_encoder_dir: Path, load) -> None:
    loaded = load(tiny_encoder_dir)
    assert loaded.config == tiny_encoder.config
    assert not loaded.training
    for name, tensor in tiny_encoder.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert torch.equal(encode(loaded), encode(tiny_encoder))


def test_directories_are_given_as_text_or_path(tiny_encoder_dir: Path) -> None:
    assert torch.equal(encode(load_encoder(str(tiny_encoder_dir))), encode(load_encoder(tiny_encoder_dir)))


def test_training_record_travels_with_the_encoder(tiny_encoder, tmp_path: Path) -> None:
    record = {"objective": "inverse dynamics", "seed": 3, "loss": 0.25}
    tiny_encoder.save_pretrained(tmp_path / "one", training=record)
    loaded = load_encoder(tmp_path / "one")
    loaded.save_pretrained(tmp_path / "two")
    assert load_encoder(tmp_path / "two").training_record == record
    assert "| objective | `inverse dynamics` |" in (tmp_path / "two" / "README.md").read_text()


def test_saving_over_an_encoder_replaces_it(tiny_encoder, tiny_encoder_dir: Path) -> None:
    with torch.no_grad():
        tiny_encoder.dense.bias += 1.0
    tiny_encoder.save_pretrained(tiny_encoder_dir)
    assert torch.equal(encode(load_encoder(tiny_encoder_dir)), encode(tiny_encoder))
    assert [path.name for path in tiny_encoder_dir.parent.iterdir()] == [tiny_encoder_dir.name]


def test_saving_never_deletes_other_files(tiny_encoder, tmp_path: Path, refuses) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with refuses("more than an encoder", "thesis.txt"):
        tiny_encoder.save_pretrained(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_encoders_are_refused_in_words(tiny_encoder_dir: Path, refuses, damage: str) -> None:
    harm, words = DAMAGES[damage]
    harm(tiny_encoder_dir)
    with refuses(*words):
        load_encoder(tiny_encoder_dir)


@pytest.mark.parametrize("name", ["no-such-encoder", "./nowhere", "/no/where", "a/b/c"])
def test_unknown_names_are_refused_in_words(name: str, refuses) -> None:
    with refuses("directory", "owner/name", "zoo", name):
        load_encoder(name)


def test_a_hub_that_does_not_answer_is_asked_once(refuses, monkeypatch) -> None:
    def no_route(*_, **__):
        raise ConnectionError("no route to host")

    def asked(*_, local_files_only, **__):
        assert local_files_only  # of what was downloaded before
        raise OSError("not in the cache")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", no_route)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", asked)
    with refuses(
        "no directory 'runs/mistyped' here", "if it is a hub id, the hub cannot be reached: no route to host"
    ):
        load_encoder("runs/mistyped")


def test_unknown_hub_ids_are_refused_in_words(refuses) -> None:
    with refuses("'nobody/no-such-encoder'", "hub"):
        load_encoder("nobody/no-such-encoder")


def test_every_encoder_of_the_zoo_loads_and_encodes() -> None:
    for name in zoo_names():
        encoder = load_encoder(name)
        kind = np.uint8 if len(encoder.input_shape) == 3 else np.float32  # frames, or vectors of a filter
        seen = np.zeros((2, *encoder.input_shape), kind)
        assert encode(encoder, seen).shape == (2, encoder.features_dim)


def test_batch_of_one_equals_batch_of_many(tiny_encoder) -> None:
    alone = torch.cat([encode(tiny_encoder, PIXELS[i : i + 1]) for i in range(len(PIXELS))])
    torch.testing.assert_close(encode(tiny_encoder), alone, atol=1e-4, rtol=0)


def test_different_frames_have_different_features(tiny_encoder) -> None:
    features = encode(tiny_encoder)
    assert torch.pdist(features).min() > 1e-3


def test_features_do_not_depend_on_the_memory_layout(tiny_encoder) -> None:
    strided = np.asfortranarray(PIXELS)
    torch.testing.assert_close(encode(tiny_encoder, strided), encode(tiny_encoder), atol=1e-6, rtol=0)


def test_paper_convnet_has_487_thousand_parameters() -> None:
    assert sum(p.numel() for p in ConvNet(PAPER).parameters()) == pytest.approx(487_000, rel=1e-3)


def test_paper_convnet_maps_84_pixels_to_16() -> None:
    assert PAPER.image_size == (84, 84)
    encoder = ConvNet(PAPER)
    seen: list[torch.Size] = []
    encoder.points[-2].register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    assert encode(encoder, np.zeros((1, 84, 84, 3), np.uint8)).shape == (1, 64)
    assert seen == [(1, 256, 16, 16)]
    assert PAPER.map_size == (16, 16)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 6), (4, 0), (2, 3), (3, 5)])
def test_spatial_softmax_of_a_peak_is_its_coordinate(row: int, column: int) -> None:
    maps = torch.zeros(1, 2, 5, 7)
    maps[0, 0, row, column] = 100.0
    maps[0, 1, 4 - row, 6 - column] = 100.0
    x, y = column / 3 - 1, row / 2 - 1  # [-1, 1] across 7 columns and 5 rows
    expected = torch.tensor([[x, -x, y, -y]])  # all x first
    torch.testing.assert_close(SpatialSoftmax(5, 7)(maps), expected, atol=1e-5, rtol=0)


def test_spatial_softmax_of_a_flat_map_is_the_centre() -> None:
    torch.testing.assert_close(SpatialSoftmax(5, 7)(torch.ones(1, 1, 5, 7)), torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (PIXELS.astype(np.float32) / 255, ("uint8", "float32")),
        (PIXELS.astype(np.int64), ("uint8", "int64")),
        (PIXELS[0], ("(batch, 32, 32, 3)", "(32, 32, 3)")),
        (PIXELS.transpose(0, 3, 1, 2), ("(batch, 32, 32, 3)", "(6, 3, 32, 32)")),
        (np.zeros((1, 84, 84, 3), np.uint8), ("(batch, 32, 32, 3)", "(1, 84, 84, 3)")),
    ],
)
@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_wrong_pixels_are_refused_in_words(
    tiny_encoder, refuses, kind: str, pixels: np.ndarray, words
) -> None:
    with refuses("pixels must", *words):
        if kind == "array":
            FrozenEncoder(tiny_encoder).encode(pixels)
        else:
            tiny_encoder(torch.from_numpy(pixels))


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"image_size": (6, 6)}, "too small"),
        ({"channels": (4, 8), "strides": (2,)}, "same length"),
        ({"channels": (), "strides": ()}, "same length"),
    ],
)
def test_impossible_architectures_are_refused_in_words(refuses, kwargs: dict[str, Any], words: str) -> None:
    with refuses(words):
        ConvNetConfig(**kwargs)


def test_frozen_encoder_equals_the_module_in_chunks(tiny_encoder, monkeypatch) -> None:
    expected = encode(tiny_encoder).numpy()
    monkeypatch.setattr("latentctx_envs.encoders.frozen.BATCH", 4)  # six frames: one whole chunk, one part
    np.testing.assert_allclose(FrozenEncoder(tiny_encoder).encode(PIXELS), expected, atol=1e-4)


def test_frozen_encoder_takes_read_only_frames(tiny_encoder) -> None:
    stored = PIXELS.copy()
    stored.flags.writeable = False  # as memory-mapped caches are
    assert np.array_equal(
        FrozenEncoder(tiny_encoder).encode(stored), FrozenEncoder(tiny_encoder).encode(PIXELS)
    )


def test_frozen_encoder_takes_no_gradients_and_evaluates(tiny_encoder) -> None:
    module = FrozenEncoder(tiny_encoder.train()).module
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_a_module_that_is_wrapped_can_be_trained_on(tiny_encoder) -> None:
    frozen = FrozenEncoder(tiny_encoder.requires_grad_(True).train())
    assert tiny_encoder.training and all(weight.requires_grad for weight in tiny_encoder.parameters())
    assert not frozen.module.training and not any(
        weight.requires_grad for weight in frozen.module.parameters()
    )


def test_a_module_that_is_no_encoder_is_refused_in_words(refuses) -> None:
    with refuses("an encoder is an Encoder, a folder or a name; got the module Linear"):
        FrozenEncoder(torch.nn.Linear(2, 2))  # type: ignore[arg-type]


def test_frozen_encoders_space_holds_its_features(tiny_encoder) -> None:
    frozen = FrozenEncoder(tiny_encoder)
    assert frozen.space == spaces.Box(-1.0, 1.0, (8,), np.float32)
    assert all(frozen.space.contains(features) for features in frozen.encode(PIXELS))


def test_content_hash_changes_with_any_weight_buffer_or_field_and_survives_saving(
    tiny_encoder: Any, tiny_encoder_dir: Path
) -> None:
    first = tiny_encoder.content_hash()
    assert load_encoder(tiny_encoder_dir).content_hash() == first
    scaled = ConvNet(dataclasses.replace(tiny_encoder.config, input_scale=2.0))
    scaled.load_state_dict(tiny_encoder.state_dict())
    centred = ConvNet(dataclasses.replace(tiny_encoder.config, centred=True))
    before = centred.content_hash()
    centred.center[0, 0, 0] = 0.1
    with torch.no_grad():
        tiny_encoder.dense.bias[0] += 1e-6
    hashes = [first, tiny_encoder.content_hash(), scaled.content_hash(), before, centred.content_hash()]
    assert len(set(hashes)) == 5


def test_features_with_and_without_gradients_are_equal(tiny_encoder: Any) -> None:
    """Without gradients activations are computed in place."""
    with torch.enable_grad():
        expected = tiny_encoder(torch.from_numpy(PIXELS)).detach()
    assert torch.equal(encode(tiny_encoder), expected)


def test_the_mean_image_keeps_its_shape_and_values_through_a_directory(tmp_path: Path) -> None:
    encoder = ConvNet(
        ConvNetConfig(image_size=(32, 32), channels=(4,), strides=(2,), keypoints=4, centred=True)
    )
    encoder.center_on(PIXELS)
    encoder.save_pretrained(tmp_path / "encoder")
    assert encoder.center.shape == (3, 32, 32)
    loaded = load_encoder(tmp_path / "encoder")
    assert isinstance(loaded, ConvNet) and torch.equal(loaded.center, encoder.center)
    mean = PIXELS.mean(axis=0, dtype=np.float64) / 255.0
    np.testing.assert_allclose(loaded.center.permute(1, 2, 0).numpy(), mean, atol=1e-7)


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[:, :, :16]], ids=["good", "bad"])
def test_encoding_leaves_torchs_number_of_threads_alone(tiny_encoder: Any, pixels: np.ndarray) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with contextlib.suppress(ValueError):
            FrozenEncoder(tiny_encoder).encode(pixels)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_few_pixels_are_encoded_by_one_thread_and_many_by_several(
    tiny_encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", counts.append)
    for frames in (1, 48, 98, 250):  # of 1,024 pixels
        FrozenEncoder(tiny_encoder).encode(np.zeros((frames, 32, 32, 3), np.uint8))
    assert counts == [1, 4, 1, 4, 2, 4, 4, 4]
    counts.clear()
    streams = Streams(load_encoder("walker-rssm"), 16, spaces.Box(-1.0, 1.0, (6,), np.float32))
    streams.begin(np.zeros((16, 15), np.float32), np.arange(16))
    streams.follow(np.zeros((16, 15), np.float32), np.zeros((16, 6), np.float32), np.arange(16))
    assert counts == [1, 4, 1, 4]


def test_frames_that_cannot_be_written_or_are_strided_are_encoded_alike(tiny_encoder: Any) -> None:
    frozen = FrozenEncoder(tiny_encoder)
    expected = frozen.encode(PIXELS)
    locked = PIXELS.copy()
    locked.flags.writeable = False
    strided = np.ascontiguousarray(PIXELS.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(frozen.encode(locked), expected)
    np.testing.assert_array_equal(frozen.encode(strided), expected)


def test_features_of_another_form_than_an_encoder_says_are_refused(refuses: Callable[..., Any]) -> None:
    class Mean(Encoder):
        input_shape, features_dim = (4, 4, 3), 3

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.double().mean(dim=(1, 2))

    with refuses("Mean must give float32 features of shape (2, 3)", "float64"):
        FrozenEncoder(Mean(ConvNetConfig())).encode(np.zeros((2, 4, 4, 3), np.uint8))
    Mean.features_dim = 5
    with refuses("Mean must give float32 features of shape (2, 5)"):
        FrozenEncoder(Mean(ConvNetConfig())).encode(np.zeros((2, 4, 4, 3), np.uint8))


def test_a_registered_class_of_ones_own_is_loaded_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: Any
) -> None:
    @dataclasses.dataclass(frozen=True)
    class SideConfig:
        side: int

    class Mean(Encoder):
        config_type = SideConfig

        @property
        def input_shape(self) -> tuple[int, ...]:
            return self.config.side, self.config.side, 3

        @property
        def features_dim(self) -> int:
            return 3

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.float().mean(dim=(1, 2))

    Mean(SideConfig(side=32)).save_pretrained(tmp_path / "mean")
    with refuses("'Mean'", "register_encoder"):
        load_encoder(tmp_path / "mean")
    monkeypatch.setattr("latentctx_envs.encoders.registry.CLASSES", dict(CLASSES))
    assert register_encoder(Mean) is Mean
    features = FrozenEncoder(tmp_path / "mean").encode(PIXELS)
    np.testing.assert_allclose(features, PIXELS.mean(axis=(1, 2)), rtol=1e-5)


def test_encoders_of_this_project_keep_their_names(refuses: Any) -> None:
    with refuses("ConvNet is the name of an encoder of this project"):
        register_encoder(type("ConvNet", (ConvNet,), {}))
    with refuses("takes a subclass of Encoder"):
        register_encoder(torch.nn.Linear)  # type: ignore[type-var]
