"""Write episodes as a Minari dataset, in one move, with its hash and reference scores."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import gymnasium as gym
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer

import latentctx_envs
from latentctx_datasets import library

PINNED = ("mujoco", "dm_control", "gymnasium")  # versions that decide the physics
CONTACT = "the issue tracker of latentctx-envs"

Record = tuple[EpisodeBuffer, dict[str, Any]]  # an episode and its metadata


def write(
    dataset_id: str,
    records: Iterator[Record],
    *,
    env: gym.Env[Any, Any],
    command: str,
    metadata: dict[str, Any],
    max_return: float | None = None,
    author: str = "The LatentCtx authors",
) -> str:
    """Write episodes as a Minari dataset and move it to its place once it is whole; its content hash.

    Args:
        dataset_id: its id.
        records: the episodes, written as they come.
        env: the environment they are of.
        command: that makes the dataset.
        metadata: further entries of Minari's metadata.
        max_return: the reference score of 1; None for the mean return of these episodes.
        author: who made the episodes.
    """
    extras: list[dict[str, Any]] = []
    returns: list[float] = []

    def buffers() -> Iterator[EpisodeBuffer]:
        for buffer, extra in records:
            extras.append(extra)
            returns.append(float(np.sum(buffer.rewards)))
            yield buffer

    with library.staging(dataset_id) as folder:
        with library.minari_root(folder):
            dataset = minari.create_dataset_from_buffers(
                dataset_id,
                buffers(),  # type: ignore[arg-type]  # Minari only iterates
                env=env,
                eval_env=env.spec,
                author={author},
                author_email={CONTACT},
                code_permalink=f"latentctx-envs=={latentctx_envs.__version__}: {command}",
                requirements=[f"{name}=={version(name)}" for name in PINNED],
                jpeg_encoding=False,
                **metadata,
            )
            dataset.storage.update_episode_metadata(extras)
            digest = library.content_hash(dataset)
            facts = {
                "content_hash": digest,
                "latentctx_version": latentctx_envs.__version__,
                "ref_min_score": 0.0,
                "ref_max_score": max_return if max_return is not None else float(np.mean(returns)),
            }
            dataset.storage.update_metadata(facts)
        library.adopt(folder / dataset_id, dataset_id)
    return digest
