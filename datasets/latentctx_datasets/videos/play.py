"""Clips of Meta-World's arm wandering about: random actions, as `LatentCtx-MetaWorldGoal-v0` shows them."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from latentctx_datasets.replay import latent_env
from latentctx_datasets.videos.building import build
from latentctx_datasets.videos.clips import Clip, Clips, clips_root
from latentctx_datasets.videos.meta_world import HAND
from latentctx_envs.meta_world.env import FPS
from latentctx_envs.meta_world.goal_env import ACTION_REPEAT, CAMERA_POSITION, IMAGE_SIZE
from latentctx_envs.meta_world.splits import TASKS as META_WORLD
from latentctx_envs.rendering import RenderProfile

NAME = "play"
TASKS = (
    "reach-v3", "push-v3", "plate-slide-v3", "button-press-topdown-v3", "window-close-v3", "drawer-close-v3",
)  # fmt: skip
CORRELATION = 0.7  # of successive actions
STEPS = 100  # decisions of an episode


def build_play(
    folder: Path | str | None = None,
    *,
    clips: int = 1500,
    frames: int = 16,
    tasks: Sequence[str] = TASKS,
    render_profile: RenderProfile = "fast",
    seed: int = 0,
    workers: int | None = None,
) -> Clips:
    """Film random actions in Meta-World's scenes, or open the clips if they are there; a killed build goes on.

    Episodes of the tasks follow one another; each starts in a fresh context of its task and is cut into as many whole
    clips as it has, which are held out together. The same seed gives the same bytes, whatever the number of workers.

    Args:
        folder: where to; by default "play" in `clips_root()`.
        clips: how many, of 64 px; the last episode may give fewer than it has.
        frames: of each clip.
        tasks: whose scenes.
        render_profile: of the frames.
        seed: of the set.
        workers: processes; by default one a core.

    Raises:
        DatasetError: the folder holds something else.
        ValueError: an argument is out of range.
    """
    if clips < 1 or seed < 0 or not 2 <= frames <= STEPS + 1 or not tasks:
        raise ValueError(
            f"clips start at 1, seeds at 0, frames lie in 2 to {STEPS + 1}, and one task is needed; got clips={clips}, "
            f"seed={seed}, frames={frames}, tasks={tuple(tasks)}."
        )
    if unknown := [task for task in tasks if task not in META_WORLD]:
        raise ValueError(f"tasks are of {', '.join(META_WORLD)}; got {', '.join(unknown)}.")
    folder = clips_root() / NAME if folder is None else Path(folder)
    build(folder, _plan(clips, frames, tuple(tasks), render_profile, seed), workers=workers)
    return Clips(folder)


def play_clips(plan: dict[str, Any], first: int, last: int) -> Iterator[Clip]:
    """Make the clips first..last-1 of a plan; a shard holds whole episodes."""
    frames, tasks = plan["frames"], plan["tasks"]
    each = _per_episode(frames)
    for episode in range(first // each, -(-last // each)):
        with closing(_env(tasks[episode % len(tasks)], plan["render_profile"])) as env:
            seen, done, hand = _film(env, np.random.default_rng([plan["seed"], episode]), each * frames)
        for part in range(min(each, last - episode * each)):
            first_frame, end = part * frames, (part + 1) * frames
            shown, acted = slice(first_frame, end), slice(first_frame, end - 1)
            yield Clip(frames=seen[shown], actions=done[acted], hand=hand[shown])


def _film(
    env: gym.Env[Any, Any], rng: np.random.Generator, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first so many frames of an episode, what was done between them, and where the hand was."""
    world = latent_env(env)
    seen, info = env.reset(seed=int(rng.integers(2**31)))
    action = np.zeros(4, np.float32)
    states, actions, hand = [], [], np.zeros((count, 4), np.float32)
    for time in range(count):
        if time:
            action = wander(action, rng)
            seen, *_, info = env.step(action)
            actions.append(action)
        states.append(world.physics_state())
        hand[time, HAND] = seen[HAND]
    frames = [world.frame(state, info["context"]) for state in states]  # drawing ends the episode
    return np.stack(frames), np.stack(actions), hand


def wander(action: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random action in [-1, 1] that resembles the one before it; both float32 of any shape."""
    fresh = rng.uniform(-1.0, 1.0, action.shape).astype(np.float32)
    return np.clip(CORRELATION * action + fresh, -1.0, 1.0)


def _env(task: str, profile: str) -> gym.Env[Any, Any]:
    return gym.make(
        "LatentCtx-MetaWorld-v0",
        task=task,
        observation="state",
        image_size=IMAGE_SIZE,
        render_profile=profile,
        camera_position=CAMERA_POSITION,
        goal_visible=False,
        window=False,
        action_repeat=ACTION_REPEAT,
        terminate_on_success=False,
    )


def _per_episode(frames: int) -> int:
    return (STEPS + 1) // frames


def _plan(clips: int, frames: int, tasks: tuple[str, ...], profile: str, seed: int) -> dict[str, Any]:
    each = _per_episode(frames)
    words = f"--clips {clips} --frames {frames} --profile {profile} --seed {seed}"
    return {
        "source": NAME,
        "seed": seed,
        "tasks": list(tasks),
        "clips": clips,
        "frames": frames,
        "image_size": IMAGE_SIZE,
        "shard": each * max(1, 24 // each),
        "interval_s": ACTION_REPEAT / FPS,
        "render_profile": profile,
        "action_size": 4,
        "sequences": [number // each for number in range(clips)],
        "arrays": ["frames", "actions", "hand"],
        "command": f"latentctx videos build play {words}{'' if tasks == TASKS else ' --tasks ' + ' '.join(tasks)}",
    }
