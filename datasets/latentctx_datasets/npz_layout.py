"""The file layout of AIME's code (NeurIPS 2023), to and from: one `<int>.npz` a trajectory of T actions.

    row                   0     1     2    ...   T
    sensors, image        o_0   o_1   o_2        o_T
    pre_action            0     a_0   a_1        a_T-1     clipped; the action that LED to the row's observation
    reward                0     r_0   r_1        r_T-1     what that action earned
    is_first, is_last     yes, no                no, yes

Every array has one row an observation; what is one number has a last axis of 1.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import minari
import numpy as np
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer

from latentctx_datasets import library
from latentctx_datasets.library import DatasetError
from latentctx_datasets.recipes.locomotion import ENV_KWARGS
from latentctx_datasets.replay import View, latent_env, replay
from latentctx_datasets.writing import Record, write
from latentctx_envs.env import LatentContextEnv
from latentctx_envs.locomotion.task import LocomotionTask
from latentctx_envs.task_env import TaskEnv

SENSORS: dict[str, dict[str, int]] = {
    "cheetah": {"position": 8, "velocity": 9},
    "walker": {"orientations": 14, "height": 1, "velocity": 9},
}
"""Embodiment -> the parts of its state observation in order, with their sizes."""
FLAGS = ("is_first", "is_last", "is_terminal")


def write_npz(dataset_id: str, folder: Path, *, episodes: int | None = None, view: View | None = None) -> int:
    """Write a dataset's episodes as `0.npz`, `1.npz`, ... into a new folder; how many.

    Args:
        dataset_id: a state dataset of the cheetah or the walker.
        folder: appears in one move once it is whole.
        episodes: only the first so many; by default all.
        view: add frames of this view as `image`.

    Raises:
        DatasetError: the dataset is of another world, its observations are no states, or the folder exists.
    """
    dataset = library.load(dataset_id)
    sensors = _sensors(latent_env(library.recover(dataset)))
    chosen = range(len(dataset) if episodes is None else min(episodes, len(dataset)))
    if folder.exists():
        raise DatasetError(f"{folder} exists: move it away or choose another folder.")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a killed process
    partial.mkdir(parents=True)
    images = iter(()) if view is None else replay(dataset, view, chosen)
    for number, episode in zip(chosen, dataset.iterate_episodes(chosen), strict=True):
        arrays = to_rows(episode, sensors, dataset.action_space)  # type: ignore[arg-type]
        if view is not None:
            arrays["image"] = next(images)
        np.savez_compressed(partial / f"{number}.npz", **arrays)  # type: ignore[arg-type]
    partial.rename(folder)
    return len(chosen)


def to_rows(
    episode: minari.EpisodeData, sensors: Mapping[str, int], space: spaces.Box
) -> dict[str, np.ndarray]:
    """An episode in the layout of the files.

    Args:
        episode: of T actions.
        sensors: name -> size of the parts of its observations.
        space: of the actions, which are clipped to it.
    """
    parts = np.split(episode.observations.astype(np.float64), np.cumsum(list(sensors.values()))[:-1], axis=1)
    actions = np.clip(episode.actions.astype(np.float64), space.low, space.high)
    rows = len(parts[0])
    flags = {name: np.zeros((rows, 1), bool) for name in FLAGS}
    flags["is_first"][0] = flags["is_last"][-1] = True
    flags["is_terminal"][1:, 0] = episode.terminations
    return {
        **dict(zip(sensors, parts, strict=True)),
        "reward": np.concatenate([[0.0], episode.rewards]).astype(np.float64)[:, None],
        **flags,
        "pre_action": np.concatenate([np.zeros_like(actions[:1]), actions]),
    }


def read_npz(
    folder: Path, dataset_id: str, *, env_id: str, author: str = "unknown", images: bool = False
) -> str:
    """Read a folder of trajectories into a Minari dataset, in the order of their numbers; its content hash.

    The files hold no physics states, so no other pixels than theirs can be had from such a dataset.

    Args:
        folder: of `<int>.npz` files.
        dataset_id: of the dataset that is written.
        env_id: the world of the one task that they are of, e.g. "LatentCtx-WalkerRun-v0".
        author: who made the data.
        images: let `image` be the observation instead of the sensors.

    Raises:
        DatasetError: the dataset exists, the folder holds no trajectory or a damaged one, or the world has many tasks.
    """
    if library.is_local(dataset_id):
        raise DatasetError(f"{dataset_id} is already in {library.root()}: move it away or choose another id.")
    task = gym.spec(env_id).kwargs.get("task")
    if task is None:
        raise DatasetError(
            f"{env_id} has no task of its own: name the task's world, e.g. LatentCtx-WalkerRun-v0."
        )
    files = trajectory_files(folder)
    settings = dict(ENV_KWARGS)
    if images:
        side = read_rows(files[0], ("image",))["image"].shape[1]
        settings |= {"observation": "pixels", "image_size": side}
    with gym.make(env_id, **settings) as env:
        sensors = ("image",) if images else tuple(_sensors(latent_env(env)))
        digest = write(
            dataset_id,
            _records(files, sensors, {"task": task}),
            env=env,
            command=f"latentctx data from-npz {folder.name} {dataset_id} --env-id {env_id}",
            metadata={
                "algorithm_name": "unknown",
                "description": f"{len(files)} trajectories read from npz files.",
            },
            author=author,
        )
    return digest


def trajectory_files(folder: Path) -> list[Path]:
    """The folder's `<int>.npz` in the order of their numbers.

    Raises:
        DatasetError: there is none.
    """
    files = sorted(
        (path for path in folder.glob("*.npz") if path.stem.isdecimal()), key=lambda p: int(p.stem)
    )
    if not files:
        raise DatasetError(f"{folder} holds no trajectories: expected files 0.npz, 1.npz, ...")
    return files


def _records(files: list[Path], sensors: tuple[str, ...], context: dict[str, Any]) -> Iterator[Record]:
    extra = {"context_json": json.dumps(context), "split": "all", "demonstrator": "unknown"}
    for number, path in enumerate(files):
        rows = read_rows(path, (*sensors, "reward", "is_terminal", "pre_action"))
        seen = _observations([rows[name] for name in sensors])
        buffer = buffer_of(number, seen, rows["pre_action"], rows["reward"], rows["is_terminal"], context)
        yield buffer, extra


def buffer_of(
    number: int,
    observations: np.ndarray,
    previous_actions: np.ndarray,
    rewards: np.ndarray,
    terminal: np.ndarray,
    context: dict[str, Any],
) -> EpisodeBuffer:
    """An episode of T actions from rows, each of which holds what led to its observation; the first led to nothing.

    Args:
        number: of the episode.
        observations: (T + 1, ...).
        previous_actions: (T + 1, a).
        rewards: (T + 1,) or (T + 1, 1).
        terminal: likewise, true where the episode ended by itself; else it was cut off.
        context: of the episode.
    """
    terminations = terminal[1:].reshape(-1).astype(bool)
    truncations = np.zeros_like(terminations)
    truncations[-1] = not terminations[-1]
    return EpisodeBuffer(
        id=number,
        options={"context": context},
        observations=observations,  # type: ignore[arg-type]
        actions=previous_actions[1:].astype(np.float32),  # type: ignore[arg-type]
        rewards=rewards[1:].reshape(-1).astype(np.float64),  # type: ignore[arg-type]
        terminations=terminations,  # type: ignore[arg-type]
        truncations=truncations,  # type: ignore[arg-type]
        infos={},
    )


def _observations(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0] if parts[0].ndim == 4 else np.concatenate(parts, axis=1).astype(np.float32)


def read_rows(path: Path, names: tuple[str, ...], *, optional: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Some arrays of a trajectory, all with a row an observation.

    Args:
        path: an npz file.
        names: of the arrays.
        optional: names of further ones, which may be missing.

    Raises:
        DatasetError: the file is damaged, an array is missing, or their rows differ in number.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            found = [*names, *(name for name in optional if name in file)]
            rows = {name: file[name] for name in found}
    except KeyError as error:
        raise DatasetError(
            f"{path} is no such trajectory: {error.args[0]}; expected {', '.join(names)}."
        ) from None
    except Exception as error:  # zipfile, zlib and NumPy raise many types on damaged files
        raise DatasetError(f"{path} is damaged ({(str(error).splitlines() or ['empty'])[0]}).") from None
    counts = {name: len(array) if array.ndim else 0 for name, array in rows.items()}
    if len(set(counts.values())) != 1 or min(counts.values()) < 2:
        raise DatasetError(
            f"{path} must have the same number of rows, at least 2, in each array; got {counts}."
        )
    return rows


def _sensors(env: LatentContextEnv) -> dict[str, int]:
    task = env.task if isinstance(env, TaskEnv) else None
    if not isinstance(task, LocomotionTask) or env.settings.kinds != ("state",):
        raise DatasetError("the npz layout is of state observations of the cheetah and the walker.")
    return SENSORS[task.domain]
