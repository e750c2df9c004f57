"""Videos of a gripper that wanders about a tray and pushes three objects: a small stand-in for BAIR's robot pushing."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from latentctx_datasets.videos.building import build
from latentctx_datasets.videos.clips import Clip, Clips, clips_root
from latentctx_datasets.videos.push_scene import ACTION, FRAMES, IMAGE_SIZE, INTERVAL, PROFILE, PushScene

NAME = "push"
VERSION = 0  # of the scene; another one makes other clips of the same seed


def build_push(
    folder: Path | str | None = None, *, clips: int = 3000, seed: int = 0, workers: int | None = None
) -> Clips:
    """Build clips of the tray, or open them if they are there; a killed build goes on where it was.

    The same seed gives the same bytes on the same machine, whatever the number of workers; a smaller set is the beginning
    of a larger one.

    Args:
        folder: where to; by default "push" in `clips_root()`.
        clips: how many, of 30 frames of 64 px each, 0.37 MB.
        seed: of the set.
        workers: processes; by default one a core.

    Raises:
        ValueError: no clips are asked for, or the folder holds something else.
    """
    if clips < 1 or seed < 0:
        raise ValueError(f"clips start at 1 and seeds at 0; got {clips} and {seed}.")
    folder = clips_root() / NAME if folder is None else Path(folder)
    build(folder, _plan(clips, seed), workers=workers)
    return Clips(folder)


def push_clips(plan: dict[str, Any], first: int, last: int) -> Iterator[Clip]:
    """Make the clips first..last-1 of a plan."""
    with closing(PushScene()) as scene:
        for number in range(first, last):
            yield scene.clip(plan["seed"], number)


def _plan(clips: int, seed: int) -> dict[str, Any]:
    return {
        "source": NAME,
        "version": VERSION,
        "seed": seed,
        "clips": clips,
        "frames": FRAMES,
        "image_size": IMAGE_SIZE,
        "interval_s": INTERVAL,
        "render_profile": PROFILE,
        "action_size": ACTION,
        "arrays": ["frames", "actions", "hand"],
        "command": f"latentctx videos build push --clips {clips} --seed {seed}",
    }
