"""Pretraining on videos without actions: first the tokenizer, then the dynamics of its tokens."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

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
from latentctx_agents.origins import videos_origin
from latentctx_agents.pvdr.evidence import EvidenceConfig, evidence_loss
from latentctx_agents.pvdr.folder import VideoModel, as_encoder, load_video_model, save_video_model
from latentctx_agents.pvdr.tokenizer import start_codebook
from latentctx_agents.pvdr.tokens import TokenStore, content_hash, open_tokens
from latentctx_agents.runs import RunFolder, training_record
from latentctx_datasets.videos import Clips, open_clips
from latentctx_envs.encoders.devices import check_device
from latentctx_envs.encoders.dynamics.config import DynamicsConfig, TokenizerConfig

BACKGROUND_FRAMES = 256  # whose median is taken for the background
FIRST_FRAMES = 64  # that the codebook begins with


@dataclass(frozen=True, kw_only=True)
class VideoTraining:
    """What a video model learns from and for how long.

    Raises:
        ValueError: a number is out of range.
    """

    videos: str = "push"  # a name of `latentctx videos list`, or a folder of clips
    clips: int | None = None  # the first so many of those that are not held out; None for all
    stride: int = 1  # frames of a clip for one of a window; about as much should move as in a decision online
    model: DynamicsConfig = field(default_factory=DynamicsConfig)
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    tokenizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            steps=2600, batch_size=32, learning_rate=2e-3, weight_decay=0.0, clip=1.0
        )
    )
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            steps=2100, batch_size=32, learning_rate=2e-3, weight_decay=0.01, clip=1.0, warm_up=200
        )
    )
    precision: Precision = "float32"  # of the dynamics' products; bfloat16 where the processor has it
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained in words."""
        if self.stride < 1 or (self.clips is not None and self.clips < 1):
            raise ValueError("stride and clips start at 1.")


QUICK = VideoTraining()
PAPER = VideoTraining(
    model=DynamicsConfig(
        tokenizer=TokenizerConfig(codes=1024, code_dim=32, hidden=512, decoder=(192, 96)),
        future=8, width=384, heads=6, posterior_blocks=4, prior_blocks=2, decoder_blocks=4, merge=1, latent=64,
    ),
    evidence=EvidenceConfig(beta=5e-4),
    tokenizer=OptimizerConfig(steps=6000, batch_size=256, learning_rate=2e-3, weight_decay=0.0, clip=1.0),
    optimizer=OptimizerConfig(
        steps=5000, batch_size=128, learning_rate=6e-4, weight_decay=0.05, clip=1.0, warm_up=500
    ),
)  # fmt: skip
"""For a GPU. The paper's own sizes could not be read; these are ours."""


def pretrain(
    config: VideoTraining, directory: Path, *, device: str = "cpu", on_step: OnStep = unheard
) -> VideoModel:
    """Train a video model into `directory/model`, the encoder in it into `directory/encoder`; a killed run continues.

    Args:
        config: what to train.
        directory: run folder; each stage has one of its own in it.
        device: torch device.
        on_step: called with (step, metrics) at every row of metrics; steps of both stages are counted on.

    Raises:
        ValueError: the folder belongs to another config, or the clips are too few, too short or damaged.
    """
    check_device(device)
    RunFolder(directory, config, videos_origin(config.videos))
    target, stages = directory / "model", [directory / name for name in ("tokenizer", "dynamics")]
    if target.is_dir():
        forget_checkpoint(*stages)
        return load_video_model(target)[0].to(device)
    began = time.monotonic()
    clips = open_clips(config.videos, frames=(config.model.window - 1) * config.stride + 1)
    torch.manual_seed(config.seed)
    model = VideoModel(config.model).to(device)
    for step, metrics in train_tokenizer(model, clips, config, stages[0]):
        on_step(step, metrics)
    tokens = open_tokens(model.tokenizer, clips)
    for step, metrics in _train_dynamics(model, tokens, clips, config, stages[1]):
        on_step(config.tokenizer.steps + step, metrics)
    record = _record(config, clips, time.monotonic() - began)
    if config.model.latent:
        as_encoder(model).save_pretrained(directory / "encoder", training=record)
    save_video_model(model, target, record)
    forget_checkpoint(*stages)
    return model.eval()


def train_tokenizer(
    model: VideoModel, clips: Clips, config: VideoTraining, directory: Path
) -> Iterator[tuple[int, Metrics]]:
    """Train the tokenizer on single frames of the clips that are not held out."""
    directory.mkdir(parents=True, exist_ok=True)
    device = next(model.parameters()).device
    chosen = training_clips(clips, config.clips)
    rng = np.random.default_rng(config.seed)

    def draw(count: int) -> Tensor:
        return torch.from_numpy(clips.sample(rng, count, 1, among=chosen)[:, 0]).to(device)

    background = draw(BACKGROUND_FRAMES).to(torch.float32).median(dim=0).values
    start_codebook(model.tokenizer, draw(FIRST_FRAMES))
    training = Training([model.tokenizer], config.tokenizer, rng)
    batch = config.tokenizer.batch_size
    yield from run_resumable(training, lambda: model.tokenizer.loss(draw(batch), background), directory)


def _train_dynamics(
    model: VideoModel, store: TokenStore, clips: Clips, config: VideoTraining, directory: Path
) -> Iterator[tuple[int, Metrics]]:
    directory.mkdir(parents=True, exist_ok=True)
    device = next(model.parameters()).device
    chosen = training_clips(clips, config.clips)
    rng = np.random.default_rng(config.seed + 1)
    training = Training([model.dynamics], config.optimizer, rng)
    batch, length = config.optimizer.batch_size, config.model.window

    def loss() -> tuple[Tensor, Metrics]:
        window = store.sample(rng, batch, length, stride=config.stride, among=chosen).to(device)
        noise = torch.randn(len(window), config.model.latent, device=device)
        beta = config.evidence.beta_at(training.step)
        with in_precision(device, config.precision):
            return evidence_loss(model.dynamics, window, noise, beta, config.evidence)

    yield from run_resumable(training, loss, directory)


def training_clips(clips: Clips, count: int | None) -> np.ndarray:
    """Numbers of the clips that are trained on: the first so many that are not held out, or all of them.

    Raises:
        ValueError: there are fewer.
    """
    chosen, _ = clips.split()
    if count is None:
        return chosen
    if count > len(chosen):
        raise ValueError(f"{clips.folder} has {len(chosen)} clips to train on, clips={count}: build more.")
    return chosen[:count]


def _record(config: VideoTraining, clips: Clips, seconds: float) -> dict[str, object]:
    facts = {"objective": "visual_dynamics", "dataset": config.videos, "dataset_hash": content_hash(clips)}
    repeat = None if clips.action_repeat is None else config.stride * clips.action_repeat
    return training_record(
        config,
        seconds,
        **facts,
        family=clips.family,
        render_profile=clips.render_profile,
        action_repeat=repeat,
    )
