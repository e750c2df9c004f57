"""Write episodes as a Minari dataset, in one move, with its hash and reference scores."""

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer

import latentctx_envs
from latentctx_datasets import identity, library
from latentctx_envs.replacing import replacing

PINNED = ("mujoco", "dm_control", "gymnasium")  # versions that decide the physics
PIECE = 1 << 20  # [bytes] that are compressed together, at most
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
    replace: bool = False,
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
        replace: move a dataset of that id aside, as `.<name>.broken-1` (-2, ...).

    Raises:
        ExistsError: there is one, and it is not to be replaced; another process may have written it meanwhile.
    """
    extras: list[dict[str, Any]] = []
    returns: list[float] = []

    def buffers() -> Iterator[EpisodeBuffer]:
        for buffer, extra in records:
            extras.append(extra)
            returns.append(float(np.sum(buffer.rewards)))
            yield buffer

    with library.staging(dataset_id) as folder:
        if not replace:
            library.refuse_local(dataset_id)
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
            compact(library.main_file(folder / dataset_id))
            digest = identity.content_hash(dataset)
            facts = {
                "content_hash": digest,
                "dataset_size": dataset.storage.get_size(),
                "latentctx_version": latentctx_envs.__version__,
                "ref_min_score": 0.0,
                "ref_max_score": max_return if max_return is not None else float(np.mean(returns)),
            }
            dataset.storage.update_metadata(facts)
        library.adopt(folder / dataset_id, dataset_id)
    return digest


def record(
    number: int,
    arrays: Mapping[str, np.ndarray],
    *,
    context: Mapping[str, Any],
    demonstrator: str,
    seed: int | None = None,
    split: str = "all",
    **facts: Any,
) -> Record:
    """An episode of T actions of a world of this project.

    Args:
        number: of the episode in its dataset.
        arrays: `observations` and, if they are known, `states` (physics) and `successes` (T + 1, ...); `actions`, `rewards`,
            `terminations` and `truncations` (T, ...).
        context: of the episode.
        demonstrator: who acted.
        seed: of its reset; None where that is not known.
        split: that the context belongs to.
        facts: further metadata.
    """
    known = {"physics_state": "states", "success": "successes"}
    buffer = EpisodeBuffer(
        id=number,
        seed=seed,
        options={"context": dict(context)},
        observations=arrays["observations"],  # type: ignore[arg-type]
        actions=arrays["actions"],  # type: ignore[arg-type]
        rewards=arrays["rewards"],  # type: ignore[arg-type]
        terminations=arrays["terminations"],  # type: ignore[arg-type]
        truncations=arrays["truncations"],  # type: ignore[arg-type]
        infos={name: arrays[key] for name, key in known.items() if key in arrays},
    )
    if "successes" in arrays:
        facts["success"] = bool(arrays["successes"].any())
    return buffer, {
        "context_json": json.dumps(dict(context)),
        "split": split,
        "demonstrator": demonstrator,
        **facts,
    }


def compact(file: Path) -> None:
    """Write an HDF5 file anew in the same layout with its arrays compressed, lossless, in one move.

    Args:
        file: the data of a Minari dataset.
    """
    with (
        replacing(file) as fresh,
        h5py.File(file) as source,
        h5py.File(fresh, "w", libver="latest") as target,
    ):

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Group):
                place = target.require_group(name)
            else:
                place = target.create_dataset(name, data=item[()], dtype=item.dtype, **_packing(item))
            place.attrs.update(item.attrs)

        source.visititems(copy)
        target.attrs.update(source.attrs)


def _packing(array: h5py.Dataset) -> dict[str, Any]:
    """How an array is compressed: bytes of equal weight side by side, in pieces that a lone row does not cost much."""
    if not array.size or not array.shape:
        return {}
    rows = max(1, PIECE * len(array) // max(array.nbytes, 1))
    chunks = (min(rows, len(array)), *array.shape[1:])
    return {"compression": "gzip", "compression_opts": 1, "shuffle": True, "chunks": chunks}
