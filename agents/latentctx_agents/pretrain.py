"""Pretraining: an encoder learns from demonstrations of many hidden contexts (arXiv 2305.16985)."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from latentctx_agents.checkpoints import forget_checkpoint
from latentctx_agents.optim import (
    Metrics,
    OnStep,
    OptimizerConfig,
    Training,
    run_resumable,
    unheard,
)
from latentctx_agents.origins import data_origin
from latentctx_agents.representations import OBJECTIVES, Batch, Objective, ObjectiveConfig
from latentctx_agents.runs import RunFolder, training_record
from latentctx_datasets import PixelStore, TransitionSampler, View, library, open_pixels
from latentctx_datasets.actions import refuse_action_space, refuse_actions
from latentctx_datasets.identity import content_of
from latentctx_envs.encoders import PAPER as PAPER_NET
from latentctx_envs.encoders import QUICK as QUICK_NET
from latentctx_envs.encoders import ConvNet, ConvNetConfig, Encoder
from latentctx_envs.encoders.devices import check_device
from latentctx_envs.registration import family_of
from latentctx_envs.rendering import RenderProfile

CENTER_FRAMES = 2000  # drawn to compute the mean image of a centred encoder


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """What is pretrained, on what and for how long.

    Raises:
        ValueError: the objective is unknown or a number is out of range.
    """

    objective: str = "inverse_dynamics"  # a name in `representations.OBJECTIVES`, or "random" for no training
    dataset: str = "latentctx/point-mass/expert-v0"
    contexts: int = 1000  # the first episodes of the dataset, one context each
    render_profile: RenderProfile = "fast"
    goal_visible: bool = False  # draw the context into the frames: the observable-context control
    encoder: ConvNetConfig = field(default_factory=lambda: QUICK_NET)
    # root mean square of a centred encoder's input, reached by choosing its `input_scale`; None keeps that as it is
    input_rms: float | None = 0.0545
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(steps=4000, batch_size=128, learning_rate=1e-3)
    )
    n_step: int = 1  # distance of the two frames [steps]
    dropout: float = 0.1  # in action heads
    lecun_heads: bool = False  # the paper's larger initial weights of heads
    pad: int = 0  # random shift [pixels]
    shared_shift: bool = False  # shift both frames alike; the paper shifts them independently
    decoder_width: float = 0.25  # of explicit forward dynamics, factor on the paper's channels
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained in words."""
        names = [*OBJECTIVES, "random"]
        if self.objective not in names:
            raise ValueError(f"objective must be one of {', '.join(names)}; got {self.objective!r}.")
        height, width = self.encoder.image_size
        if height != width:
            raise ValueError(f"pixel stores hold square frames; the encoder wants {height}x{width}.")
        if self.contexts < 1:
            raise ValueError(f"contexts must be at least 1; got {self.contexts}.")
        if self.n_step < 1 or self.decoder_width <= 0.0 or not 0 <= self.pad < height:
            raise ValueError(
                f"n_step starts at 1, decoder_width lies above 0 and pad in [0, {height}), the frame's side; got {self.n_step}, "
                f"{self.decoder_width} and {self.pad}."
            )
        if self.input_rms is not None and not 0.0 < self.input_rms < float("inf"):
            raise ValueError(f"input_rms must be a positive number, or None; got {self.input_rms}.")

    @property
    def view(self) -> View:
        """How the frames are rendered."""
        return View(
            image_size=self.encoder.image_size[0],
            render_profile=self.render_profile,
            goal_visible=self.goal_visible,
        )


QUICK = PretrainConfig()
PAPER = PretrainConfig(
    encoder=PAPER_NET,
    input_rms=None,
    optimizer=OptimizerConfig(steps=100_000, batch_size=256, learning_rate=1e-3),
    pad=8,
    lecun_heads=True,
    decoder_width=1.0,
)


def pretrain(
    config: PretrainConfig,
    directory: Path,
    *,
    device: str = "cpu",
    on_step: OnStep = unheard,
) -> Encoder:
    """Train an encoder into `directory/encoder` and return it; a killed run continues where it was.

    Args:
        config: what to train.
        directory: run folder.
        device: torch device.
        on_step: called with (step, metrics) at every row of metrics.

    Raises:
        ValueError: the folder belongs to another config, the dataset has too few contexts or too short episodes, or there
            is no such device.
        DatasetError: the dataset is missing or damaged, or its actions are no vectors of numbers in [-1, 1].
    """
    check_device(device)
    RunFolder(directory, config, data_origin(config.dataset))
    target = directory / "encoder"
    if target.is_dir():
        forget_checkpoint(directory)
        return ConvNet.from_pretrained(target).to(device)
    began = time.monotonic()
    _refuse_data(config)
    store = open_pixels(config.dataset, config.view)
    refuse_actions(store)
    encoder, training = set_up(config, store, device)
    if training is not None:
        for step, metrics in _train(config, training, encoder, store, directory, device):
            on_step(step, metrics)
    encoder.save_pretrained(target, training=_record(config, store, time.monotonic() - began))
    forget_checkpoint(directory)
    return encoder.eval()


def view_of(encoder: Encoder) -> View:
    """How the frames of an image encoder's pretraining were rendered, as far as its record tells."""
    config = encoder.training_record.get("config", {})
    return View(
        image_size=encoder.input_shape[0],
        render_profile=encoder.render_profile or "fast",
        goal_visible=config.get("goal_visible", False),
    )


def _refuse_data(config: PretrainConfig) -> None:
    """Refuse a dataset before its frames are rendered; objectives tell actions in [-1, 1], as all worlds of this project have them.

    Raises:
        ValueError: it has too few episodes, or too short ones.
        DatasetError: its actions go beyond.
    """
    dataset_id, dataset = config.dataset, library.load(config.dataset)
    count = int(dataset.total_episodes)
    if count < config.contexts:
        raise ValueError(
            f"{dataset_id} has {count} episodes; contexts={config.contexts}: say contexts={count} for all."
        )
    used = dataset.storage.get_episode_metadata(dataset.episode_indices[: config.contexts])
    shortest = min(int(facts["total_steps"]) for facts in used)
    if config.n_step > shortest:
        raise ValueError(f"{dataset_id} has an episode of {shortest} steps; n_step={config.n_step}.")
    refuse_action_space(dataset)


def set_up(config: PretrainConfig, store: PixelStore, device: str) -> tuple[ConvNet, Training | None]:
    """A fresh encoder and its training (None for the random encoder), both decided by the seed."""
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    if config.encoder.centred:
        frames = _some_frames(config, store)
        encoder = ConvNet(_scaled(config, frames)).to(device)
        encoder.center_on(frames)
    else:
        encoder = ConvNet(config.encoder).to(device)
    if config.objective == "random":
        return encoder, None
    head_config = ObjectiveConfig(
        action_dim=store.actions.shape[-1],
        n_step=config.n_step,
        dropout=config.dropout,
        lecun_heads=config.lecun_heads,
        decoder_width=config.decoder_width,
    )
    objective = OBJECTIVES[config.objective](encoder, head_config).to(device)
    return encoder, Training([encoder, objective], config.optimizer, rng)


def _some_frames(config: PretrainConfig, store: PixelStore) -> np.ndarray:
    """Frames of the contexts to train on, uint8 (n, h, w, 3)."""
    frames = int(store.starts[config.contexts - 1] + store.lengths[config.contexts - 1] + 1)
    drawn = np.random.default_rng(config.seed).choice(frames, min(frames, CENTER_FRAMES), replace=False)
    return store.frames[np.sort(drawn)]


def _scaled(config: PretrainConfig, frames: np.ndarray) -> ConvNetConfig:
    """The encoder's shape, with an input scale that fits the contrast of the frames.

    A scale that suits a faint ball of two pixels lets inverse dynamics rush for a bright one of four: its loss falls
    lower, and no position can be read from the features (docs/papers/inverse_dynamics.md). To the nearest half, so
    that the noise of a sample does not move it.
    """
    if config.input_rms is None:
        return config.encoder
    contrast = float(np.sqrt(np.square((frames / np.float32(255.0)).std(axis=0)).mean(dtype=np.float64)))
    halves = max(round(2.0 * config.input_rms / max(contrast, 1e-6)), 1)
    return dataclasses.replace(config.encoder, input_scale=halves / 2.0)


def _train(
    config: PretrainConfig,
    training: Training,
    encoder: Encoder,
    store: PixelStore,
    directory: Path,
    device: str,
) -> Iterator[tuple[int, Metrics]]:
    objective = training.modules[1]
    assert isinstance(objective, Objective)
    sample = batches(config, objective, store, training.rng, device)
    yield from run_resumable(training, lambda: objective.loss(encoder, sample()), directory)


def batches(
    config: PretrainConfig,
    objective: Objective,
    store: PixelStore,
    rng: np.random.Generator,
    device: str,
) -> Callable[[], Batch]:
    """A function that draws the next batch for an objective."""
    sampler = TransitionSampler(
        store,
        rng=rng,
        batch_size=config.optimizer.batch_size,
        episodes=np.arange(config.contexts),
        n_step=config.n_step,
        pad=config.pad if objective.uses_shifts else 0,
        shared_shift=config.shared_shift,
        same_frame=objective.same_frame,
    )

    def sample() -> Batch:
        drawn = sampler.sample()
        return Batch(*(torch.from_numpy(array).to(device) for array in drawn))

    return sample


def _record(config: PretrainConfig, store: PixelStore, seconds: float) -> dict[str, object]:
    digest = content_of(library.load(config.dataset))
    facts = {
        "objective": config.objective,
        "family": family_of(library.spec_of(library.load(config.dataset))) if store.render_profile else None,
        "render_profile": store.render_profile,
        "dataset": config.dataset,
        "dataset_hash": digest,
        "store": store.key,
    }
    return training_record(config, seconds, **facts)
