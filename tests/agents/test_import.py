"""`latentctx encoders import` makes an encoder that wraps an environment out of a downloaded weights file."""

import gymnasium as gym
import pytest
import torch

from latentctx_agents.cli import main
from latentctx_envs.encoders import ResNet18, ResNet18Config
from latentctx_envs.wrappers import EncodeObservation


def test_downloaded_weights_wrap_an_environment(tmp_path, capsys):
    torch.save(ResNet18(ResNet18Config()).state_dict(), tmp_path / "resnet18.pth")
    main(
        [
            "encoders",
            "import",
            str(tmp_path / "resnet18.pth"),
            str(tmp_path / "imagenet"),
            "--image-size",
            "40",
        ]
    )
    assert str(tmp_path / "imagenet") in capsys.readouterr().out
    env = gym.make("LatentCtx-PointMass-v0", observation="pixels", image_size=40)
    with EncodeObservation(env, str(tmp_path / "imagenet")) as wrapped:
        features, _ = wrapped.reset(seed=0)
        assert features.shape == (512,)


def test_a_file_that_is_not_there_is_refused_in_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["encoders", "import", str(tmp_path / "none.pth"), str(tmp_path / "out")])
    assert "download the weights first" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
