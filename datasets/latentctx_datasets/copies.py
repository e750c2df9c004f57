"""Datasets made of datasets: a copy with pixels, and several in one."""

import json
from collections.abc import Iterator, Sequence

import gymnasium as gym
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer
from tqdm import tqdm

from latentctx_datasets import identity, library
from latentctx_datasets.library import DatasetError
from latentctx_datasets.replay import View, replay, view_env
from latentctx_datasets.writing import Record, write
from latentctx_envs.rendering import RenderProfile

EPISODE_METADATA = (
    "context_json",
    "split",
    "success",
    "demonstrator",
    "snapshot",
    "source_episode",
    "source_file",
)


def export_pixels(
    dataset_id: str,
    *,
    pixels: int,
    profile: RenderProfile = "fast",
    target_id: str | None = None,
) -> str:
    """Write a self-contained pixel copy of a dataset for other people's loaders, lossless; returns its id.

    Args:
        dataset_id: a dataset of this project.
        pixels: side of the square frames [pixels].
        profile: render profile.
        target_id: id of the copy; by default `<name>-<pixels>px-vN`.

    Raises:
        DatasetError: the dataset is missing or damaged, or the target exists.
    """
    source = library.load(dataset_id)
    name, _, number = dataset_id.rpartition("-v")
    target = library.check_id(target_id or f"{name}-{pixels}px-v{number}")
    library.refuse_taken(target)
    identity.verify_recorded(source)
    score = source.storage.metadata.get("ref_max_score")
    to = f" --to {target_id}" if target_id else ""
    view = View(image_size=pixels, render_profile=profile)
    with view_env(source, view) as env:
        write(
            target,
            records_of(source, frames=replay(source, view, source.episode_indices)),
            env=env,
            command=f"latentctx data export {dataset_id} --pixels {pixels} --profile {profile}{to}",
            metadata={
                "algorithm_name": source.storage.metadata.get("algorithm_name", "unknown"),
                "description": f"{dataset_id} with {pixels} px frames, render profile {profile!r}.",
            },
            max_return=None if score is None else float(score),
        )
    return target


def combine(dataset_ids: Sequence[str], target_id: str, *, author: str = "unknown") -> minari.MinariDataset:
    """Write the episodes of several datasets of one world as one, in this order, with their contexts and seeds.

    Minari's own `combine_datasets` keeps no contexts, without which nothing can be derived. The sources stay as they are.

    Args:
        dataset_ids: two or more datasets that this project wrote, such as several recordings.
        target_id: id of the new one.
        author: who made it.

    Raises:
        DatasetError: a dataset is missing, damaged or of another world, or the target exists.
    """
    library.refuse_taken(target_id)
    if len(dataset_ids) < 2:
        raise DatasetError(f"two or more datasets make one; got {len(dataset_ids)}.")
    sources = [library.load(name) for name in dataset_ids]
    first = library.played_in(dataset_ids[0])
    for name, source in zip(dataset_ids, sources, strict=True):
        identity.verify_recorded(source)
        if library.played_in(name) != first or source.observation_space != sources[0].observation_space:
            raise DatasetError(
                f"{name} and {dataset_ids[0]} are of different worlds or show different things: they cannot be one dataset."
            )
    names = [str(source.storage.metadata.get("algorithm_name", "unknown")) for source in sources]
    with gym.make(library.spec_of(sources[0])) as env:
        write(
            target_id,
            (record for source in sources for record in records_of(source)),
            env=env,
            command=f"latentctx data combine {' '.join(dataset_ids)} --to {target_id}",
            metadata={
                "algorithm_name": ", ".join(dict.fromkeys(names)),
                "description": f"The episodes of {', '.join(dataset_ids)}.",
            },
            author=author,
        )
    return library.load(target_id)


def records_of(source: minari.MinariDataset, frames: Iterator[np.ndarray] | None = None) -> Iterator[Record]:
    """The episodes of a dataset with all that is known of them.

    Args:
        source: a dataset that this project wrote.
        frames: observations uint8 (T + 1, h, w, 3) of each episode in the place of its own.

    Raises:
        DatasetError: an episode has no context.
    """
    extras = source.storage.get_episode_metadata(source.episode_indices)
    episodes = tqdm(
        source.iterate_episodes(), desc=library.id_of(source), unit="ep", total=len(source), delay=1
    )
    for episode, extra in zip(episodes, extras, strict=True):
        if "context_json" not in extra or episode.infos is None:
            raise DatasetError(
                f"{library.id_of(source)} names no contexts: it was not written by this project."
            )
        buffer = EpisodeBuffer(
            seed=extra.get("seed"),
            options={"context": json.loads(extra["context_json"])},
            observations=episode.observations if frames is None else next(frames),  # type: ignore[arg-type]
            actions=episode.actions,
            rewards=list(episode.rewards),
            terminations=list(episode.terminations),
            truncations=list(episode.truncations),
            infos=dict(episode.infos),
        )
        kept = {key: extra[key] for key in EPISODE_METADATA if key in extra}
        yield buffer, {"split": "all", **kept}
