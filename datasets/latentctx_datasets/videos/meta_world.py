"""Clips of Meta-World's demonstrations as `LatentCtx-MetaWorldGoal-v0` shows them: its camera, its size, its step."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from latentctx_datasets import identity, library
from latentctx_datasets.library import DatasetError
from latentctx_datasets.replay import latent_env
from latentctx_datasets.videos.building import build, spread
from latentctx_datasets.videos.clips import Clip, Clips, clips_root
from latentctx_envs.meta_world.env import FPS
from latentctx_envs.meta_world.goal_env import ACTION_REPEAT, CAMERA_POSITION, IMAGE_SIZE
from latentctx_envs.rendering import RenderProfile

NAME = "meta-world"
FRAMES = 16  # of a clip by default: a demonstration of a quick task has thirty
SHARD = 25  # clips in a file, 5 MB: each takes seconds to render
HAND = slice(0, 3)  # of a state observation: where the hand is [m]


def build_meta_world(
    task: str,
    folder: Path | str | None = None,
    *,
    frames: int = FRAMES,
    render_profile: RenderProfile = "fast",
    workers: int | None = None,
) -> Clips:
    """Render a task's demonstrations into clips, or open them if they are there; a killed build goes on where it was.

    A frame is what the goal environment shows of every second state, because its agent decides every second control
    step. A demonstration becomes as few clips as cover it; they lie evenly over it, and overlap where its length asks
    for that. Shorter demonstrations are left out. Labels are where the hand was; Meta-World's hand does not turn.

    Args:
        task: such as "push-v3", or the id of a dataset of Meta-World's demonstrations.
        folder: where to; by default "meta-world-<task>" in `clips_root()`.
        frames: of each clip.
        render_profile: of the frames; the environment's own is "fast".
        workers: processes; by default one a core.

    Raises:
        DatasetError: the dataset is not built or damaged, no demonstration is long enough, or the folder holds
            something else.
        ValueError: frames is below 2.
    """
    if frames < 2:
        raise ValueError(f"a clip has at least 2 frames; got {frames}.")
    dataset_id = dataset_of(task)
    plan = _plan(dataset_id, frames, render_profile)
    plan["command"] = f"latentctx videos build meta-world:{task} --frames {frames} --profile {render_profile}"
    target = clips_root() / _name(task) if folder is None else Path(folder)
    build(target, plan, workers=workers)
    return Clips(target)


def dataset_of(task: str) -> str:
    """Id of the demonstrations of a task ("push-v3", "push"), or the id itself.

    Raises:
        DatasetError: it is neither.
    """
    if "/" in task:
        return library.check_id(task)
    return library.check_id(f"latentctx/meta-world/{task.removesuffix('-v3')}-expert-v0")


def meta_world_clips(plan: dict[str, Any], first: int, last: int) -> Iterator[Clip]:
    """Render the clips first..last-1 of a plan."""
    dataset = library.load(plan["dataset"])
    view = {
        "observation": "pixels",
        "image_size": plan["image_size"],
        "render_profile": plan["render_profile"],
    }
    goal_env = {"window": False, "camera_position": CAMERA_POSITION, "goal_visible": False}
    with closing(latent_env(library.recover(dataset, **view, **goal_env))) as env:
        for number in range(first, last):
            index, start = plan["sequences"][number], plan["starts"][number]
            (extra,) = dataset.storage.get_episode_metadata([index])
            episode, context = dataset[index], json.loads(extra["context_json"])
            assert episode.infos is not None
            shown = range(start, start + plan["frames"] * plan["stride"], plan["stride"])
            hand = np.zeros((plan["frames"], 4), np.float32)
            hand[:, HAND] = episode.observations[list(shown), HAND]
            states = episode.infos["physics_state"]
            yield Clip(frames=np.stack([env.frame(states[time], context) for time in shown]), hand=hand)


def _plan(dataset_id: str, frames: int, profile: RenderProfile) -> dict[str, Any]:
    dataset = library.load(dataset_id)
    first = dataset[0]
    if first.infos is None or "physics_state" not in first.infos or first.observations.shape[1:] != (39,):
        raise DatasetError(f"{dataset_id} holds no demonstrations of Meta-World: clips come from its states.")
    lengths = [len(episode.rewards) for episode in dataset.iterate_episodes()]
    cuts = [(index, start) for index, steps in enumerate(lengths) for start in _starts(steps, frames)]
    if not cuts:
        raise DatasetError(
            f"no demonstration of {dataset_id} has {frames} frames; the longest has "
            f"{max(lengths) // ACTION_REPEAT + 1}: ask for fewer by --frames."
        )
    return {
        "source": NAME,
        "dataset": dataset_id,
        "dataset_hash": identity.verify(dataset_id),
        "clips": len(cuts),
        "frames": frames,
        "image_size": IMAGE_SIZE,
        "shard": SHARD,
        "stride": ACTION_REPEAT,
        "interval_s": ACTION_REPEAT / FPS,
        "render_profile": profile,
        "sequences": [index for index, _ in cuts],
        "starts": [start for _, start in cuts],
        "arrays": ["frames", "hand"],
    }


def _starts(steps: int, frames: int) -> list[int]:
    """States at which the clips of a demonstration of so many steps begin; the last one shows its end."""
    shown = steps // ACTION_REPEAT + 1  # every second of steps + 1 states
    left_out = steps % ACTION_REPEAT  # so that the last state is among those shown
    return [left_out + ACTION_REPEAT * start for start in spread(shown, frames)]


def _name(task: str) -> str:
    return f"{NAME}-{task.replace('/', '-')}"
