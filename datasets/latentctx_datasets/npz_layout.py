"""The file layout of AIME's code (NeurIPS 2023), to and from: one `<int>.npz` a trajectory of T actions.

    row                   0     1     2    ...   T
    sensors, image        o_0   o_1   o_2        o_T
    pre_action            0     a_0   a_1        a_T-1     clipped; the action that LED to the row's observation
    reward                0     r_0   r_1        r_T-1     what that action earned
    is_first, is_last     yes, no                no, yes

Every array has one row an observation; what is one number has a last axis of 1.
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import minari
import numpy as np
from gymnasium import spaces

from latentctx_datasets import identity, library
from latentctx_datasets.library import DatasetError
from latentctx_datasets.replay import View, latent_env, replay, world_of
from latentctx_datasets.trajectory_rows import check_rows, read_rows, record_of_rows
from latentctx_datasets.writing import Record, write
from latentctx_envs.env import LatentContextEnv
from latentctx_envs.locks import locked
from latentctx_envs.locomotion.protocol import ENV_KWARGS
from latentctx_envs.locomotion.task import LocomotionTask
from latentctx_envs.registration import ids
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
        DatasetError: the dataset is of another world, its observations are no states, the folder exists, or `episodes` is
            below 1.
    """
    if episodes is not None and episodes < 1:
        raise DatasetError(f"episodes start at 1; got {episodes}.")
    dataset = library.load(dataset_id)
    identity.verify_recorded(dataset)
    with world_of(dataset) as world:
        sensors = _sensors(world)
    chosen = range(len(dataset) if episodes is None else min(episodes, len(dataset)))
    if folder.exists():
        raise DatasetError(f"{folder} exists: move it away or choose another folder.")
    partial = folder.with_name(f".{folder.name}.partial")
    with locked(partial):
        if folder.exists():  # another process has written it meanwhile
            raise DatasetError(f"{folder} exists: move it away or choose another folder.")
        shutil.rmtree(partial, ignore_errors=True)  # of a killed process
        partial.mkdir()
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
        DatasetError: the dataset exists, the folder holds no trajectory, a damaged one or one of another world, or there
            is no such world or it has many tasks.
    """
    library.refuse_taken(dataset_id)
    if env_id not in ids():
        raise DatasetError(f"{env_id} is no world of this project: `latentctx envs list` shows all.")
    task = gym.spec(env_id).kwargs.get("task")
    if task is None:
        raise DatasetError(
            f"{env_id} has no task of its own: name the task's world, e.g. LatentCtx-WalkerRun-v0."
        )
    files = trajectory_files(folder)
    settings = dict(ENV_KWARGS)
    if images:
        settings |= {"observation": "pixels", "image_size": _side(files[0])}
    with gym.make(env_id, **settings) as env:
        digest = write(
            dataset_id,
            _records(files, env, {"task": task}),
            env=env,
            command=f"latentctx data from-npz {folder.name} {dataset_id} --env-id {env_id}{' --images' * images}",
            metadata={
                "algorithm_name": "unknown",
                "description": f"{len(files)} trajectories read from npz files.",
            },
            author=author,
        )
    return digest


def _side(file: Path) -> int:
    """Height of a trajectory's frames, which are square."""
    image = read_rows(file, ("image",))["image"]
    if image.ndim != 4:
        raise DatasetError(f"{file}: image must be square frames; got shape {image.shape}.")
    return image.shape[1]


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


def _records(files: list[Path], env: gym.Env[Any, Any], context: dict[str, Any]) -> Iterator[Record]:
    """The files' episodes, in the form of the world's observations."""
    seen, acted = env.observation_space, env.action_space
    assert isinstance(seen, spaces.Box) and isinstance(acted, spaces.Box)
    images = len(seen.shape) == 3
    sensors = {} if images else _sensors(latent_env(env))
    frames = {"image": seen.shape} if images else {}
    for path in files:
        rows = check_rows(
            path,
            read_rows(path, (*sensors, *frames, "reward", "is_terminal", "pre_action")),
            numbers=("reward", "is_terminal"),
            vectors={**sensors, "pre_action": acted.shape[0]},
            frames=frames,
        )
        observations = (
            rows["image"] if images else np.concatenate([rows[n] for n in sensors], axis=1).astype(np.float32)
        )
        yield record_of_rows(
            observations,
            rows["pre_action"],
            rows["reward"],
            rows["is_terminal"],
            space=acted,
            context=context,
        )


def _sensors(env: LatentContextEnv) -> dict[str, int]:
    task = env.task if isinstance(env, TaskEnv) else None
    if not isinstance(task, LocomotionTask) or env.settings.kinds != ("state",):
        raise DatasetError("the npz layout is of state observations of the cheetah and the walker.")
    return SENSORS[task.domain]
