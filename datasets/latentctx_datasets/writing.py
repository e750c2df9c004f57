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

PINNED = ("mujoco", "dm_control", "gymnasium")  # versions that decide the physics
PIECE = 1 << 20  # [bytes] that are compressed together, at most
PARTS = ("observations", "actions", "rewards", "terminations", "truncations", "infos")
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
    with library.staging(dataset_id) as folder:
        if not replace:
            library.refuse_local(dataset_id)
        with library.minari_root(folder):
            storage = minari.create_dataset_from_buffers(
                dataset_id,
                [],  # Minari would write them uncompressed
                env=env,
                eval_env=env.spec,
                author={author},
                author_email={CONTACT},
                code_permalink=f"latentctx-envs=={latentctx_envs.__version__}: {command}",
                requirements=[f"{name}=={version(name)}" for name in PINNED],
                jpeg_encoding=False,
                **metadata,
            ).storage
            steps, returns = _write_episodes(library.main_file(folder / dataset_id), records)
            storage.update_metadata({"total_episodes": len(steps), "total_steps": sum(steps)})
            digest = identity.content_hash(minari.MinariDataset(storage))
            facts = {
                "content_hash": digest,
                "dataset_size": storage.get_size(),
                "latentctx_version": latentctx_envs.__version__,
                "ref_min_score": 0.0,
                "ref_max_score": max_return if max_return is not None else float(np.mean(returns)),
            }
            storage.update_metadata(facts)
        library.adopt(folder / dataset_id, dataset_id)
    return digest


def record(
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


def _write_episodes(file: Path, records: Iterator[Record]) -> tuple[list[int], list[float]]:
    """Write episodes in the layout of Minari's own writer, which packs nothing; the steps and the return of each."""
    steps, returns = [], []
    with h5py.File(file, "w", libver="latest") as target:
        for number, (buffer, extra) in enumerate(records):
            episode = target.create_group(f"episode_{number}")
            episode.create_group("infos")  # also where there are none
            for name, value in identity.leaves({part: getattr(buffer, part) for part in PARTS}):
                array = np.asarray(value)
                episode.create_dataset(name, data=array, **_packing(array))
            steps.append(len(buffer.rewards))
            returns.append(float(np.sum(buffer.rewards)))
            facts = {"id": number, "seed": buffer.seed, "total_steps": steps[-1], **extra}
            for name, value in identity.leaves({"options": buffer.options or {}, **facts}):
                if value is not None:
                    episode.attrs[name] = value
    return steps, returns


def _packing(array: np.ndarray) -> dict[str, Any]:
    """How an array is compressed: bytes of equal weight side by side, in pieces that a lone row does not cost much."""
    if not array.size or not array.shape:
        return {}
    rows = max(1, PIECE * len(array) // max(array.nbytes, 1))
    chunks = (min(rows, len(array)), *array.shape[1:])
    return {"compression": "gzip", "compression_opts": 1, "shuffle": True, "chunks": chunks}
