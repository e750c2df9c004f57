"""What a video model foretells of clips that it has not seen, beside a copy of the last seen frame."""

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentctx_agents.model_folder import weights_hash
from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.probe import unexplained
from latentctx_agents.pvdr.folder import VideoModel, videos_of
from latentctx_agents.pvdr.model import split
from latentctx_agents.pvdr.tokens import TokenStore, content_hash
from latentctx_agents.results import Measurement
from latentctx_datasets import DatasetError
from latentctx_datasets.videos import Clips, open_clips
from latentctx_envs.encoders.dynamics.config import GRID, PATCH
from latentctx_envs.encoders.latent.gaussian import kl_divergence

PROBE = OptimizerConfig(steps=1500, batch_size=256, learning_rate=1e-3)
MOVED = 0.05  # largest change of a patch's pixels, in [0, 1], from which on it counts as moved
BATCH = 32  # windows at once


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """How a video model is judged.

    Raises:
        ValueError: a number is out of range.
    """

    windows: int = 256  # of held-out clips, for errors
    samples: int = 32  # futures that are drawn for each
    # for the probes, of clips that were trained on; a quarter as many of others test
    probe_windows: int = 8000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be judged in words."""
        if min(self.windows, self.samples, self.probe_windows) < 1:
            raise ValueError("windows, samples and probe_windows start at 1.")


class Parted(NamedTuple):
    """Numbers of the clips of a set, int64."""

    trained: np.ndarray  # that readings may be trained on
    held_out: np.ndarray  # that the model has not seen


def parted(clips: Clips, record: Mapping[str, Any]) -> Parted:
    """Which clips a model has not seen, of its own set or of another one, which may share clips with its own.

    Args:
        clips: any set.
        record: of the model's training.

    Raises:
        ValueError: it has seen all of them.
    """
    trained, held_out = clips.split()
    if content_hash(clips) == record["dataset_hash"]:
        return Parted(trained, held_out)
    try:
        own = open_clips(record["dataset"])
    except DatasetError:
        own = None
    if own is None or content_hash(own) != record["dataset_hash"]:
        warnings.warn(
            f"the videos that the model was trained on ({record['dataset']}) are not here: whether it has seen clips of "
            f"{clips.folder} is not known.",
            stacklevel=2,
        )
        return Parted(trained, held_out)
    seen = {_digest(own[number]) for number in own.split()[0].tolist()}
    new = np.array([_digest(clips[number]) not in seen for number in range(len(clips))])
    if not new.any():
        raise ValueError(f"the model was trained on every clip of {clips.folder}: judge it by others.")
    held_out = held_out[new[held_out]] if new[held_out].any() else np.flatnonzero(new)
    return Parted(np.setdiff1d(trained, held_out), held_out)


def _digest(clip: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(clip).tobytes(), digest_size=16).digest()


@torch.no_grad()
def judge(
    model: VideoModel, clips: Clips, store: TokenStore, held_out: np.ndarray, stride: int, config: JudgeConfig
) -> dict[str, float]:
    """Errors of foretold frames on held-out clips, as shares of the copy's error where anything moved.

    Args:
        model: that is judged.
        clips: any set.
        store: its tokens.
        held_out: numbers of the clips that count (`parted`).
        stride: frames of a clip for one of a window.
        config: how many windows and draws.

    Returns:
        error_posterior, error_prior (the mean draw), error_prior_mean (z at the prior's mean), error_best (the best of
        `samples` draws), each mean squared error over moved patches divided by that of the last seen frame;
        accuracy_changed, copy_accuracy (of all tokens), divergence [nats]. A model without a latent has
        error_prior_mean alone.
    """
    rng = np.random.default_rng(config.seed)
    sums: dict[str, float] = {}
    for first in range(0, config.windows, BATCH):
        count = min(BATCH, config.windows - first)
        which = held_out[rng.integers(len(held_out), size=count)]
        span = (model.config.window - 1) * stride + 1
        starts = rng.integers(clips.length - span + 1, size=count)
        frames = torch.from_numpy(clips.windows(which, starts, model.config.window, stride))
        window = store.windows(which, starts, model.config.window, stride)
        for name, value in _errors(model, frames, window, rng, config.samples).items():
            sums[name] = sums.get(name, 0.0) + value * count
    means = {name: total / config.windows for name, total in sums.items()}
    copy = means.pop("error_copy")
    return {name: v / copy if name.startswith("error") else v for name, v in means.items()}


def rows_of(
    found: dict[str, float], model: Path, record: dict[str, Any], clips: Clips, config: JudgeConfig
) -> Iterator[Measurement]:
    """The numbers of a judged model as rows of results.

    Args:
        found: by `judge` and `probes`.
        model: folder of the one that was judged.
        record: of its training.
        clips: that it was judged by, of which the held-out ones count.
        config: how it was judged.
    """
    training = record["config"]
    setting = {
        "latent": training["model"]["latent"], "future": training["model"]["future"], "stride": training["stride"],
        "clips": training["clips"], "steps": training["optimizer"]["steps"], "samples": config.samples,
        "windows": config.windows, "probe_windows": config.probe_windows, "judge_seed": config.seed, "judged_on": content_hash(clips)[:16], "model_hash": weights_hash(model)[:16],
    }  # fmt: skip
    for metric, value in found.items():
        yield Measurement(
            study="pvdr", world="", dataset=videos_of(record), method="video-model", setting=setting,
            seed=record["seed"], metric=metric, value=value,
        )  # fmt: skip


def _errors(
    model: VideoModel, frames: Tensor, window: Tensor, rng: np.random.Generator, samples: int
) -> dict[str, float]:
    """Mean squared errors over moved patches of one batch."""
    dynamics, seen = model.dynamics, model.config.context
    context, future = split(window, model.config)
    last, wanted = frames[:, seen - 1 : seen], frames[:, seen:]
    moved = _blocks((_unit(wanted) - _unit(last)).abs()).amax(-1) > MOVED

    def error(tokens: Tensor) -> Tensor:  # (b,) mean over what moved
        squared = _blocks((_unit(model.tokenizer.pixels(tokens)) - _unit(wanted)).square()).mean(-1)
        return (squared * moved).sum((1, 2)) / moved.sum((1, 2)).clamp_min(1)

    copied = _blocks((_unit(last) - _unit(wanted)).square()).mean(-1)
    facts = {"error_copy": float(((copied * moved).sum((1, 2)) / moved.sum((1, 2)).clamp_min(1)).mean())}
    changed = future != context[:, -1:]
    facts["copy_accuracy"] = float((~changed).float().mean())
    if dynamics.prior is None or dynamics.posterior is None:
        plan = dynamics.plans(context, torch.zeros(len(context), 0))
        return {
            **facts, "error_prior_mean": float(error(plan).mean()), "accuracy_changed": _accuracy(plan, future, changed)
        }  # fmt: skip
    prior, posterior = dynamics.prior(context), dynamics.posterior(window)
    known = dynamics.plans(context, posterior.mean)
    noise = torch.from_numpy(rng.standard_normal((len(context), samples, model.config.latent), np.float32))
    _, plans = dynamics.sample(context, samples, noise)
    drawn = torch.stack([error(plans[:, i]) for i in range(samples)])
    return {
        **facts,
        "error_posterior": float(error(known).mean()),
        "error_prior_mean": float(error(dynamics.plans(context, prior.mean)).mean()),
        "error_prior": float(drawn.mean()),
        "error_best": float(drawn.amin(0).mean()),
        "accuracy_changed": _accuracy(known, future, changed),
        "divergence": float(kl_divergence(posterior, prior).sum(-1).mean()),
    }


@torch.no_grad()
def probes(
    model: VideoModel,
    clips: Clips,
    store: TokenStore,
    parts: Parted,
    stride: int,
    config: JudgeConfig,
) -> dict[str, float]:
    """R2 of the hand's displacement over the foretold frames, and of its place (x and y), read from features of held-out clips.

    Args:
        model: with a latent.
        clips: opened with labels.
        store: their tokens.
        parts: which of them readings are trained on, and tested on.
        stride: frames of a clip for one of a window.
        config: how many windows.

    Returns:
        r2_context (the displacement from the context's features), r2_latent (from z), r2_both; r2_place (the place in the
        last seen frame, from the context's features).
    """
    assert model.dynamics.prior is not None and model.dynamics.posterior is not None
    rng = np.random.default_rng(config.seed)
    tests = max(1, config.probe_windows // 4)
    features, latents, targets, places = [], [], [], []
    for among, count in ((parts.trained, config.probe_windows), (parts.held_out, tests)):
        which = among[rng.integers(len(among), size=count)]
        span = (model.config.window - 1) * stride
        starts = rng.integers(clips.length - span, size=count)
        hand = clips.hand[which]
        rows = np.arange(count)
        now = hand[rows, starts + (model.config.context - 1) * stride, :2].astype(np.float32)
        places.append(now)
        targets.append(hand[rows, starts + span, :2].astype(np.float32) - now)
        for first in range(0, count, 256):
            window = store.windows(
                which[first : first + 256], starts[first : first + 256], model.config.window, stride
            )
            features.append(model.dynamics.prior.features(window[:, : model.config.context]).numpy())
            latents.append(model.dynamics.posterior(window).mean.numpy())
    context, latent, move, place = (np.concatenate(parts) for parts in (features, latents, targets, places))
    readings = {
        "context": (context, move),
        "latent": (latent, move),
        "both": (np.concatenate([context, latent], axis=1), move),
        "place": (context, place),
    }
    with torch.enable_grad():
        return {
            f"r2_{name}": 1.0 - unexplained(values, target, tests, config=PROBE, seed=config.seed)
            for name, (values, target) in readings.items()
        }


def _accuracy(plan: Tensor, future: Tensor, changed: Tensor) -> float:
    return float(((plan == future) & changed).sum() / changed.sum().clamp_min(1))


def _unit(pixels: Tensor) -> Tensor:
    return pixels.to(torch.float32) / 255.0


def _blocks(frames: Tensor) -> Tensor:
    """Frames (b, t, 64, 64, 3) as patches (b, t, 64, 192)."""
    split_up = frames.unflatten(3, (GRID, PATCH)).unflatten(2, (GRID, PATCH)).transpose(3, 4)
    return split_up.flatten(4).flatten(2, 3)
