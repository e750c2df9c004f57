"""Pictures of a dataset to look at: a contact sheet of some episodes, and a GIF for each task."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import minari
import numpy as np
from PIL import Image, ImageDraw

from latentctx_datasets import library
from latentctx_datasets.replay import View, replay, world_of

COLUMNS = 8  # times of the sheet
LENGTH = 125  # frames of a GIF, about
FPS = 20  # of a GIF [1/s]
SIDE_BY_SIDE = 4  # episodes in a GIF, at most
LABEL = 16  # [pixels] height of a line of text
MARGIN = 150  # [pixels] width of the labels of rows
COLOURS = 128  # of a GIF


@dataclass(frozen=True, kw_only=True)
class Shot:
    """An episode or clip to be shown."""

    number: int  # among its kind
    kind: str = "episode"
    task: str  # "" where the world has but one
    earned: float | None = None  # its return, if it has one
    frames: np.ndarray  # uint8 (t, h, w, 3)
    seconds: float | None  # between two frames [s], where it is known


def show(dataset_id: str, folder: Path, *, episodes: int = 6, image_size: int = 96) -> list[Path]:
    """Render evenly spaced episodes of a dataset into a folder; the files, the sheet first.

    Args:
        dataset_id: a dataset with physics states.
        folder: where the pictures go.
        episodes: rows of the sheet.
        image_size: side of a frame [pixels].

    Raises:
        ValueError: a number is below 1.
        DatasetError: the dataset is missing or stores no physics states.
    """
    if episodes < 1 or image_size < 1:
        raise ValueError(f"episodes and image_size start at 1; got {episodes}, {image_size}.")
    shots = take_shots(library.load(dataset_id), episodes, image_size)
    folder.mkdir(parents=True, exist_ok=True)
    name = dataset_id.replace("/", "-")
    sheet = folder / f"{name}.png"
    contact_sheet(shots).save(sheet)
    files = [sheet]
    for task in dict.fromkeys(shot.task for shot in shots):
        files.append(folder / (f"{name}-{task}.gif" if task else f"{name}.gif"))
        write_gif([[shot.frames for shot in shots if shot.task == task][:SIDE_BY_SIDE]], files[-1])
    return files


def take_shots(dataset: minari.MinariDataset, count: int, image_size: int) -> list[Shot]:
    """Evenly spaced episodes of a dataset, the first and the last among them, with what shows their context."""
    with world_of(dataset) as world:
        view = View(image_size=image_size, goal_visible=world.shows_context)
        actions_a_second = world.render_fps / world.settings.action_repeat
    numbers = np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int)).tolist()
    every = max(1, len(dataset[0].rewards) // LENGTH)
    seconds = every / actions_a_second
    extras = dataset.storage.get_episode_metadata(numbers)
    frames = replay(dataset, view, numbers, every=every)
    return [
        Shot(
            number=number,
            task=json.loads(extra["context_json"]).get("task", ""),
            earned=float(np.sum(dataset[number].rewards)),
            frames=shown,
            seconds=seconds,
        )
        for number, extra, shown in zip(numbers, extras, frames, strict=True)
    ]


def contact_sheet(shots: Sequence[Shot]) -> Image.Image:
    """One picture: a row an episode, from its first frame to its last, with number, task, return and times."""
    side = shots[0].frames.shape[1]
    sheet = Image.new("RGB", (MARGIN + COLUMNS * side, len(shots) * (side + LABEL)), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for row, shot in enumerate(shots):
        top = row * (side + LABEL)
        earned = "" if shot.earned is None else f"return {shot.earned:.1f}"
        lines = (f"{shot.kind} {shot.number}", shot.task, earned)
        draw.text((6, top + LABEL), "\n".join(line for line in lines if line), fill=(0, 0, 0))
        chosen = np.linspace(0, len(shot.frames) - 1, COLUMNS).round().astype(int).tolist()
        for column, index in enumerate(chosen):
            left = MARGIN + column * side
            when = f"frame {index}" if shot.seconds is None else f"{index * shot.seconds:.2f} s"
            draw.text((left + 4, top + 2), when, fill=(110, 110, 110))
            sheet.paste(Image.fromarray(shot.frames[index]), (left, top + LABEL))
    return sheet


def write_gif(rows: Sequence[Sequence[np.ndarray]], path: Path, *, fps: float = FPS) -> None:
    """Write rows of films as one looping GIF; shorter films hold their last frame.

    Args:
        rows: of films, uint8 (t, h, w, 3) each, of one size.
        path: the file.
        fps: frames a second.
    """
    longest = max(len(film) for row in rows for film in row)
    whole = np.concatenate(
        [
            np.concatenate(
                [np.concatenate([film, np.repeat(film[-1:], longest - len(film), axis=0)]) for film in row],
                axis=2,
            )
            for row in rows
        ],
        axis=1,
    )
    octree = Image.Quantize.FASTOCTREE  # keeps the colours of small things
    images = [
        Image.fromarray(frame).quantize(COLOURS, method=octree, dither=Image.Dither.NONE) for frame in whole
    ]
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=int(1000 / fps), loop=0, optimize=True
    )
