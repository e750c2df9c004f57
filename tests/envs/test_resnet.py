"""ResNet-18 as an encoder: weights under the names that their sources use, frames scaled and cropped, never trained."""

import numpy as np
import pytest
import torch

from latentctx_envs.encoders import FrozenEncoder, ResNet18, ResNet18Config, load_encoder

SMALL = ResNet18Config(image_size=(40, 40), resize=36, crop=32)


@pytest.fixture
def encoder() -> ResNet18:
    """Fresh weights, with statistics that matter."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = ResNet18(SMALL)
        for module in made.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_()  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
    return made.eval()


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)


def named_as(source: str, state: dict[str, torch.Tensor]) -> dict[str, object]:
    """A state dict under the names of its source, with the head that each of them has besides."""
    if source == "r3m":
        inner = {f"module.convnet.{name}": tensor for name, tensor in state.items()}
        return {"r3m": {**inner, "module.lang_rew.pred.0.weight": torch.zeros(2)}, "global_step": 3}
    return {**state, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


@pytest.mark.parametrize("source", ["torchvision", "r3m"])
def test_weights_files_give_the_same_features(source, encoder, frames, tmp_path):
    torch.save(named_as(source, encoder.state_dict()), tmp_path / "weights.pth")
    read = ResNet18.from_weights(tmp_path / "weights.pth", SMALL)
    read.save_pretrained(tmp_path / "saved")
    loaded = load_encoder(tmp_path / "saved")
    expected = FrozenEncoder(encoder).encode(frames)
    np.testing.assert_array_equal(FrozenEncoder(loaded).encode(frames), expected)
    assert expected.shape == (3, 512)
    assert len(np.unique(expected.round(4), axis=0)) == 3


def test_it_has_the_parameters_of_the_paper(encoder):
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 11_176_512


def test_training_mode_does_not_move_its_statistics(encoder, frames):
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    encoder.train()
    encoder(torch.from_numpy(frames))
    assert all(torch.equal(tensor, encoder.state_dict()[name]) for name, tensor in before.items())


def test_only_the_middle_of_the_picture_is_seen(encoder, frames):
    changed = frames.copy()
    changed[:, 0], changed[:, :, 0] = 0, 255
    np.testing.assert_allclose(
        FrozenEncoder(encoder).encode(changed), FrozenEncoder(encoder).encode(frames), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no file"),
        (b"", "damaged"),
        ({"conv1.weight": torch.zeros(1)}, "holds no ResNet-18"),
        (3, "no named"),
    ],
)
def test_other_files_are_refused_in_one_line(content, message, tmp_path):
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ValueError, match=message) as error:
        ResNet18.from_weights(path)
    assert "\n" not in str(error.value)


def test_code_in_a_pickle_is_not_run(tmp_path):
    torch.save({"conv1.weight": print}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="damaged"):
        ResNet18.from_weights(tmp_path / "weights.pth")


def test_a_crop_larger_than_the_picture_is_refused():
    with pytest.raises(ValueError, match="the crop fits"):
        ResNet18Config(resize=100, crop=120)
