"""A tiny pretraining set and presets that take seconds."""

import dataclasses

import pytest

from latentctx_agents import pretrain
from latentctx_agents.finetune import FinetuneConfig
from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.studies import demo
from latentctx_envs.encoders import ConvNetConfig

SMALL = "latentctx/point-mass/expert-small-v0"
TINY_NET = ConvNetConfig(
    image_size=(32, 32), channels=(4, 8), strides=(2, 2), keypoints=4, features=8, centred=True
)
FEW_STEPS = OptimizerConfig(steps=12, batch_size=16, learning_rate=1e-3, log_every=4)


@pytest.fixture(scope="session")
def tiny_pretrain() -> pretrain.PretrainConfig:
    return pretrain.PretrainConfig(
        dataset=SMALL, contexts=20, render_profile="turbo", encoder=TINY_NET, optimizer=FEW_STEPS
    )


@pytest.fixture(scope="session")
def tiny_demo(tiny_pretrain) -> demo.DemoConfig:
    return demo.DemoConfig(
        pretrain=tiny_pretrain,
        finetune=FinetuneConfig(demos=1, optimizer=FEW_STEPS),
        goals=2,
        episodes=2,
        probe=FEW_STEPS,
    )


@pytest.fixture(scope="session")
def pretrained(tiny_pretrain, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    return pretrain.pretrain(dataclasses.replace(tiny_pretrain), folder), folder / "encoder"
