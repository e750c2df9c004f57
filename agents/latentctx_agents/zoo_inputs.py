"""What an encoder of the zoo is tried on: the beginning of what it was trained on, and a world that shows the like.

Images are encoded one by one. A world model's filter follows whole episodes with the actions that were taken, a video
model's encoder the frames of whole clips, because what rounding costs adds up over time there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import minari
import numpy as np
import torch
from gymnasium import spaces

from latentctx_agents.pretrain import view_of
from latentctx_agents.pvdr.tokens import content_hash
from latentctx_datasets import library
from latentctx_datasets.identity import content_of
from latentctx_datasets.replay import replay, view_env
from latentctx_datasets.videos import Clips, open_clips
from latentctx_envs.encoders import Encoder, FrozenEncoder
from latentctx_envs.encoders.dynamics.encoder import DynamicsEncoder
from latentctx_envs.encoders.latent.encoder import LatentEncoder
from latentctx_envs.encoders.stateful import StatefulEncoder, Streams

EPISODES = 4  # of the dataset
CLIPS = 32
VIDEO_WORLD = "LatentCtx-MetaWorldGoal-v0"  # where a video model acts (`latentctx study pvdr`)
TRAIN = "pretrain it with `latentctx pretrain`, `latentctx world-model` or `latentctx pvdr pretrain`"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What an encoder is tried on.

    Each part is what was seen in one episode, or in several of one length, and what was done: (b, T, ...) and
    (b, T - 1, a). Images have no order: one part of (n, h, w, 3), and nothing that was done.
    """

    world: str  # id of the world that the card's code makes
    arguments: dict[str, Any]  # of that world
    shown: str  # what the parts are, in words
    parts: list[tuple[np.ndarray, np.ndarray]]
    action_space: spaces.Space[Any] = field(default_factory=lambda: spaces.Discrete(1))


def trial_of(encoder: Encoder) -> Trial:
    """What an encoder is tried on; its dataset, or its clips, must be there.

    Raises:
        ValueError: they are not, or others are in their place.
    """
    if isinstance(encoder, LatentEncoder):
        return _episodes(encoder)
    if isinstance(encoder, DynamicsEncoder):
        return _clips(encoder)
    dataset, view = dataset_of(encoder.training_record), view_of(encoder)
    frames = np.concatenate(list(replay(dataset, view, range(min(EPISODES, int(dataset.total_episodes))))))
    with view_env(dataset, view) as env:
        spec = env.spec
    assert spec is not None
    return Trial(
        world=spec.id,
        arguments=spec.kwargs,
        shown="frames of the dataset's first episodes",
        parts=[(frames, np.zeros((0, 0), np.float32))],
    )


def features_on(encoder: Encoder, trial: Trial) -> np.ndarray:
    """The encoder's features of all that it is tried on, float32 (n, D), in the same order for each encoder."""
    if not isinstance(encoder, StatefulEncoder):
        frozen = FrozenEncoder(encoder)
        return np.concatenate([frozen.encode(frames) for frames, _ in trial.parts])
    return np.concatenate([_followed(encoder, seen, done, trial.action_space) for seen, done in trial.parts])


def compared(before: Encoder, after: Encoder, trial: Trial) -> dict[str, Any]:
    """How far the features of one encoder are from those of another, as plain values for a card.

    Returns:
        Over all n observations and D features: the largest difference, the root mean square of differences, and of the
        features of `before` around their means (`spread`). Of encoders with tokens also the share that differs.
    """
    first, second = features_on(before, trial), features_on(after, trial)
    difference = second - first
    found: dict[str, Any] = {
        "max_difference": _short(np.abs(difference).max()),
        "rms_difference": _short(np.sqrt(np.square(difference).mean())),
        "spread": _short(np.sqrt(first.var(axis=0).mean())),
        "frames": len(first),
        "shown": trial.shown,
    }
    if isinstance(before, DynamicsEncoder) and isinstance(after, DynamicsEncoder):
        frames = torch.from_numpy(np.concatenate([np.concatenate(seen) for seen, _ in trial.parts]))
        with torch.inference_mode():
            found["changed_tokens"] = _short((before.frames(frames) != after.frames(frames)).float().mean())
    return found


def _short(value: Any) -> float:
    return float(f"{float(value):.3g}")


def _followed(
    encoder: StatefulEncoder, seen: np.ndarray, done: np.ndarray, action_space: spaces.Space[Any]
) -> np.ndarray:
    """Features (b * T, D) of observations (b, T, ...) that actions (b, T - 1, a) lead through."""
    rows = np.arange(len(seen))
    streams = Streams(encoder, len(seen), action_space)
    found = [streams.begin(seen[:, 0], rows)]
    for time in range(1, seen.shape[1]):
        found.append(streams.follow(seen[:, time], done[:, time - 1], rows))
    return np.concatenate(found)


def _episodes(encoder: LatentEncoder) -> Trial:
    """Episodes of vectors; filters of frames are too large for the zoo, and are refused before they come here."""
    dataset = dataset_of(encoder.training_record)
    (width,) = encoder.input_shape
    spec = library.spec_of(dataset)
    count = min(EPISODES, int(dataset.total_episodes))
    return Trial(
        world=spec.id,
        arguments={**spec.kwargs, "observation": encoder.observed},
        shown=f"observations, filtered in order through the dataset's first {count} episodes",
        parts=[
            (one.observations[None, :, :width], one.actions[None])
            for one in dataset.iterate_episodes(range(count))
        ],
        action_space=dataset.action_space,
    )


def _clips(encoder: DynamicsEncoder) -> Trial:
    record = encoder.training_record
    clips = open_clips(record["dataset"])
    if content_hash(clips) != record["dataset_hash"]:
        raise _others(record)
    count = min(CLIPS, len(clips))
    seen = np.stack([np.array(clips[index]) for index in range(count)])
    return Trial(
        world=VIDEO_WORLD,
        arguments={"observation": "pixels", **_drawn_as(clips)},
        shown=f"frames, seen in order in the first {count} clips",
        parts=[(seen, np.zeros((count, seen.shape[1] - 1, 0), np.float32))],
    )


def _drawn_as(clips: Clips) -> dict[str, Any]:
    return {} if clips.render_profile is None else {"render_profile": clips.render_profile}


def dataset_of(record: Mapping[str, Any]) -> minari.MinariDataset:
    """The dataset that an encoder saw.

    Raises:
        ValueError: it is not there, or another one is in its place.
    """
    dataset = library.load(record["dataset"])
    if content_of(dataset) != record["dataset_hash"]:
        raise _others(record)
    return dataset


def _others(record: Mapping[str, Any]) -> ValueError:
    return ValueError(
        f"{record['dataset']} is not the one that the encoder saw (hash {record['dataset_hash'][:12]}): "
        "build that one again, or pretrain on this one."
    )
