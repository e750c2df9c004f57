"""V-D4RL's episodes (Lu et al., TMLR 2023, arXiv 2206.04779) as datasets whose observations are their frames.

    row                   0     1     2    ...  500
    image                 o_0   o_1   o_2       o_500     uint8 (64, 64, 3)
    action                0     a_0   a_1       a_499     that LED to the row's frame, as DreamerV2 keeps them
    reward                0     r_0   r_1       r_499     what that action earned
    discount              1     1     1         1         0 where an episode ended by itself
    is_first              yes   no    no        no        optional, as is_terminal: older files lack both

One `.npz` an episode, in the folders `<task>/<kind>/64px` of V-D4RL; what is one number may have a last axis of 1. There
are no states in them: frames cannot be rendered anew, and nothing can be read from latent states as a probe. The
84 px `.hdf5` files hold the same episodes at another size, and are not read.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from latentctx_datasets import library
from latentctx_datasets.library import DatasetError
from latentctx_datasets.trajectory_rows import check_rows, read_rows, record_of_rows
from latentctx_datasets.writing import Record, write
from latentctx_envs.locomotion.protocol import ENV_KWARGS, NATIVE_RETURN

WORLDS = {"walker": "LatentCtx-WalkerWalk-v0", "cheetah": "LatentCtx-CheetahRun-v0"}
"""Body, the second part of a dataset's id -> the world of V-D4RL's task for it; its humanoid has no world here."""
SIDE = 64  # [pixels] of the frames
SHOWN: dict[str, Any] = {
    **ENV_KWARGS,
    "reward_mode": "sum",  # DreamerV2 adds up the control steps of an action; returns are at most 1,000
    "observation": "pixels",
    "image_size": SIDE,
    "render_profile": "reference",  # dm_control's own picture, which the files show
}
AUTHORS = "Lu, Ball, Rudner, Parker-Holder, Osborne and Teh (V-D4RL)"
NEEDED = ("image", "action", "reward", "discount")
FLAGS = ("is_first", "is_terminal")


def import_vd4rl(folders: Sequence[Path], dataset_id: str) -> tuple[str, int]:
    """Read folders of V-D4RL's episodes into a Minari dataset, one folder after the other, by name within each.

    Actions are clipped to the world's bounds, as the world does.

    Args:
        folders: such as `main/walker_walk/random/64px`; several make a mix.
        dataset_id: of the dataset that is written; its second part is the body, as in "vd4rl/walker/random-v0".

    Returns:
        Its content hash, and how many episodes it holds.

    Raises:
        DatasetError: the dataset exists, its id names no body, or a folder holds no episode or a damaged one.
    """
    env_id = _world_of(dataset_id)
    library.refuse_taken(dataset_id)
    files = [file for folder in folders for file in episode_files(folder)]
    names = " and ".join("/".join(folder.resolve().parts[-3:]) for folder in folders)
    with gym.make(env_id, **SHOWN) as env:
        space = env.action_space
        assert isinstance(space, gym.spaces.Box)
        context = {"task": gym.spec(env_id).kwargs["task"]}
        digest = write(
            dataset_id,
            _records(files, space, context),
            env=env,
            command=_command(folders, dataset_id),
            metadata={
                "algorithm_name": "unknown",
                "description": f"{len(files)} episodes of V-D4RL ({names}): frames as they are in the files, no states.",
            },
            max_return=NATIVE_RETURN,
            author=AUTHORS,
        )
    return digest, len(files)


def _command(folders: Sequence[Path], dataset_id: str) -> str:
    first, *more = ["/".join(folder.resolve().parts[-3:]) for folder in folders]
    return " ".join(["latentctx data import-vd4rl", first, dataset_id, *(["--more", *more] if more else [])])


def _world_of(dataset_id: str) -> str:
    parts = library.check_id(dataset_id).split("/")
    if len(parts) != 3 or parts[1] not in WORLDS:
        raise DatasetError(
            f"the second of an id's three parts names the body, {' or '.join(WORLDS)}, as in 'vd4rl/walker/random-v0'; "
            f"got {dataset_id!r}."
        )
    return WORLDS[parts[1]]


def episode_files(folder: Path) -> list[Path]:
    """The folder's `.npz` by name, which begins with the time of the episode.

    Raises:
        DatasetError: there is none.
    """
    files = sorted(folder.glob("*.npz"))
    if not files:
        other = next(folder.glob("*.hdf5"), None)
        hint = "those are the 84 px files; give the folder 64px" if other else "expected one .npz an episode"
        raise DatasetError(f"{folder} holds no episodes of V-D4RL: {hint}.")
    return files


def read_episode(file: Path, actions: int) -> dict[str, np.ndarray]:
    """The arrays of an episode, checked: image, action, reward, discount and is_terminal, a row a frame.

    Args:
        file: of one episode.
        actions: length of an action of its body.

    Raises:
        DatasetError: the file is damaged, or is no such episode.
    """
    rows = read_rows(file, NEEDED, optional=FLAGS)
    rows = check_rows(
        file,
        rows,
        numbers=("reward", "discount", *(name for name in FLAGS if name in rows)),
        vectors={"action": actions},
        frames={"image": (SIDE, SIDE, 3)},  # of V-D4RL's folders 64px
    )
    rows.setdefault("is_terminal", rows["discount"] == 0.0)
    if "is_first" in rows and (not rows["is_first"][0] or rows["is_first"][1:].any()):
        raise DatasetError(f"{file} must be one episode: is_first is true elsewhere than in its first row.")
    return rows


def _records(files: list[Path], space: gym.spaces.Box, context: dict[str, Any]) -> Iterator[Record]:
    for file in files:
        rows = read_episode(file, space.shape[0])
        parts = (rows[name] for name in ("image", "action", "reward", "is_terminal"))
        yield record_of_rows(*parts, space=space, context=context, source_file=file.name)
