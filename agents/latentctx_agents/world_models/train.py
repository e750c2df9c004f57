"""Phase 1 of AIME: a world model learns a body from episodes with actions."""

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from latentctx_agents.checkpoints import forget_checkpoint
from latentctx_agents.optim import (
    Metrics,
    OnStep,
    OptimizerConfig,
    Precision,
    Training,
    in_precision,
    run_resumable,
    unheard,
)
from latentctx_agents.origins import data_origin
from latentctx_agents.runs import RunFolder, training_record
from latentctx_agents.world_models.evidence import model_loss
from latentctx_agents.world_models.folder import load_world_model, save_world_model
from latentctx_agents.world_models.model import WorldModel, as_encoder
from latentctx_agents.world_models.windows import Windows, open_episodes, sensors_of, windows_of
from latentctx_datasets import StateStore, library
from latentctx_datasets.identity import content_of
from latentctx_envs.encoders.devices import check_device
from latentctx_envs.encoders.latent.config import LARGER as LARGER_MODEL
from latentctx_envs.encoders.latent.config import QUICK as QUICK_MODEL
from latentctx_envs.encoders.latent.config import RSSM, RSSMO, WorldModelConfig
from latentctx_envs.encoders.latent.sensors import Observed


@dataclass(frozen=True, kw_only=True)
class WorldModelTraining:
    """What a world model learns from and for how long.

    Raises:
        ValueError: a number is out of range.
    """

    dataset: str = "latentctx/walker/mix-v0"  # the body's experience; rewards are not looked at
    observed: Observed = "state"  # the paper's MDP; "position" is its LPOMDP, "pixels" its Visual setting
    episodes: int | None = None  # the first so many; None for all
    model: WorldModelConfig = field(default_factory=lambda: QUICK_MODEL)
    length: int = 50  # observations of a window
    # an episode's first steps are drawn at least as often as others; False as in the paper
    early: bool = True
    precision: Precision = "float32"  # of products; bfloat16 pays where they are what takes the time
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            steps=10_000, batch_size=16, learning_rate=1e-3, weight_decay=0.0, schedule="constant", clip=100.0
        )
    )
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained in words."""
        if self.length < 2 or (self.episodes is not None and self.episodes < 1):
            raise ValueError("a window has at least two observations, and episodes start at 1.")


QUICK = WorldModelTraining()
LARGER = dataclasses.replace(
    QUICK,
    model=LARGER_MODEL,
    optimizer=dataclasses.replace(QUICK.optimizer, steps=30_000, schedule="cosine"),
)
_PAPER = OptimizerConfig(
    steps=100_000, batch_size=50, learning_rate=1e-3, weight_decay=0.0, schedule="constant", clip=100.0
)
PAPER_WALKER = WorldModelTraining(model=RSSM, early=False, optimizer=_PAPER)
PAPER_CHEETAH = WorldModelTraining(
    dataset="latentctx/cheetah/run-replay-v0",
    model=RSSMO,
    early=False,
    optimizer=dataclasses.replace(_PAPER, learning_rate=3e-4),
)


def train_world_model(
    config: WorldModelTraining, directory: Path, *, device: str = "cpu", on_step: OnStep = unheard
) -> WorldModel:
    """Train a world model into `directory/model`, its filter into `directory/encoder`; a killed run continues.

    Args:
        config: what to train.
        directory: run folder.
        device: torch device.
        on_step: called with (step, metrics) at every row of metrics.

    Raises:
        ValueError: the folder belongs to another config, or the dataset has too few or too short episodes.
        DatasetError: the dataset is missing or damaged, or holds numbers that are none.
    """
    check_device(device)
    sensors, world = sensors_of(config.dataset, config.observed), library.body_of(config.dataset)
    RunFolder(directory, config, data_origin(config.dataset))
    target = directory / "model"
    if target.is_dir():
        forget_checkpoint(directory)
        return load_world_model(target)[0].to(device)
    began = time.monotonic()
    store = open_episodes(config.dataset, config.observed, config.model.image_size)
    if config.episodes is not None and len(store) < config.episodes:
        raise ValueError(f"{config.dataset} has {len(store)} episodes; episodes={config.episodes}.")
    if not store.observations.shape[-1]:
        sensors = sensors.unprobed()
    digest = content_of(library.load(config.dataset))
    torch.manual_seed(config.seed)
    model = WorldModel(config.model, sensors, store.actions.shape[-1]).to(device)
    for step, metrics in _train(config, model, store, directory, device):
        on_step(step, metrics)
    record = _record(config, digest, world, time.monotonic() - began)
    as_encoder(model).save_pretrained(directory / "encoder", training=record)
    save_world_model(model, target, record)
    forget_checkpoint(directory)
    return model.eval()


def _train(
    config: WorldModelTraining, model: WorldModel, store: StateStore, directory: Path, device: str
) -> Iterator[tuple[int, Metrics]]:
    rng = np.random.default_rng(config.seed)
    groups = [model.model_parameters(), model.reading_parameters()]
    training = Training([model], config.optimizer, rng, groups=groups)
    draw = windows_of(
        store,
        rng,
        batch_size=config.optimizer.batch_size,
        length=config.length,
        observed=config.observed,
        episodes=None if config.episodes is None else np.arange(config.episodes),
        early=config.early,
        device=device,
    )
    yield from run_resumable(training, lambda: loss_of(config, model, draw()), directory)


def loss_of(config: WorldModelTraining, model: WorldModel, batch: Windows) -> tuple[torch.Tensor, Metrics]:
    """The loss of one batch and numbers to log, its products in the configured precision."""
    noise = model.noise(*batch.previous_actions.shape[:2])
    with in_precision(noise.device, config.precision):
        loss, metrics = model_loss(model, batch.observations, batch.previous_actions, noise)
    return loss, {name: value.item() for name, value in metrics.items()}


def _record(
    config: WorldModelTraining, digest: str, world: library.PlayedIn, seconds: float
) -> dict[str, object]:
    facts = {"objective": "evidence", "dataset": config.dataset, "dataset_hash": digest}
    return training_record(config, seconds, **facts, action_repeat=world.env_kwargs.get("action_repeat", 1))
