"""Tiny pretraining sets, presets that take seconds, and what they make."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import tiny_pvdr

from latentctx_agents import pretrain
from latentctx_agents.finetune import FinetuneConfig
from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.pvdr import pretrain as pvdr
from latentctx_agents.studies import demo
from latentctx_datasets.videos.push import build_push
from latentctx_envs.encoders import ConvNetConfig

SMALL = "latentctx/point-mass/expert-small-v0"
TINY_NET = ConvNetConfig(
    image_size=(32, 32), channels=(4, 8), strides=(2, 2), keypoints=4, features=8, centred=True
)
FEW_STEPS = OptimizerConfig(steps=12, batch_size=16, learning_rate=1e-3, log_every=4)


@pytest.fixture(scope="session")
def two_goals(tmp_path_factory) -> Callable[[], AbstractContextManager[None]]:
    """`with two_goals():` the point mass' set to finetune on has its first two goals, in folders that are shared."""
    root = tmp_path_factory.mktemp("two_goals")

    @contextmanager
    def few() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("latentctx_datasets.recipes.point_mass.FINETUNE_GOALS", 2)
            patch.setenv("MINARI_DATASETS_PATH", str(root / "minari"))
            patch.setenv("LATENTCTX_CACHE", str(root / "cache"))
            yield

    return few


@pytest.fixture
def of_two_goals(two_goals) -> Iterator[None]:
    """The test runs with `two_goals`."""
    with two_goals():
        yield


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


@pytest.fixture(scope="session")
def video_clips(tmp_path_factory):
    return build_push(tmp_path_factory.mktemp("videos") / "push", clips=8, workers=1).folder


@pytest.fixture(scope="session")
def video_training(video_clips):
    return pvdr.VideoTraining(
        videos=str(video_clips), model=tiny_pvdr.TINY, tokenizer=tiny_pvdr.FEW, optimizer=tiny_pvdr.FEW
    )


@pytest.fixture(scope="session")
def video_model(video_training, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pvdr")
    pvdr.pretrain(video_training, folder)
    return folder / "model"
