"""`latentctx videos`: clips without actions, for pretraining."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from rich.console import Console
from rich.table import Column, Table

from latentctx_datasets.sheet import Shot, contact_sheet, write_gif
from latentctx_datasets.videos import clips_root, open_clips
from latentctx_datasets.videos.bair import build_bair
from latentctx_datasets.videos.push import build_push


@dataclass(frozen=True, kw_only=True)
class Push:
    """Film a gripper that wanders about a tray and pushes three objects."""

    clips: int = 3000  # of 30 frames, 0.37 MB each
    seed: int = 0
    path: Path | None = None  # folder; by default "push" in the videos' folder
    workers: int | None = None  # processes; by default one a core


@dataclass(frozen=True, kw_only=True)
class Bair:
    """Read BAIR's robot pushing videos from their TFRecords, which you have downloaded."""

    source: Path  # the unpacked folder softmotion30_44k/train
    camera: Literal["image_aux1", "image_main"] = "image_aux1"
    clips: int | None = None  # only the first so many
    path: Path | None = None  # folder; by default "bair" in the videos' folder
    workers: int | None = None  # processes; by default one a core


@dataclass(frozen=True, kw_only=True)
class List:
    """List the sets that are there."""


@dataclass(frozen=True, kw_only=True)
class View:
    """Draw some clips: a contact sheet (PNG) and a GIF."""

    name: tyro.conf.Positional[str]  # a set's name, or its folder
    out: Path = Path("runs/view")  # folder of the pictures
    clips: int = 6  # evenly spaced over the set


def videos(words: list[str]) -> None:
    """Build, list and look at sets of clips."""
    choices: Any = (
        Annotated[Push, tyro.conf.subcommand("push")] | Annotated[Bair, tyro.conf.subcommand("bair")]
    )
    if words[:1] == ["build"]:
        arguments = tyro.cli(choices, args=words[1:], prog="latentctx videos build")
    else:
        commands: Any = (
            Annotated[List, tyro.conf.subcommand("list")] | Annotated[View, tyro.conf.subcommand("view")]
        )
        arguments = tyro.cli(
            commands,
            args=words,
            prog="latentctx videos",
            description="Clips without actions. `latentctx videos build push|bair` makes some.",
        )
    if isinstance(arguments, Push):
        _say(
            build_push(
                arguments.path, clips=arguments.clips, seed=arguments.seed, workers=arguments.workers
            ).folder
        )
    elif isinstance(arguments, Bair):
        settings = {"camera": arguments.camera, "clips": arguments.clips, "workers": arguments.workers}
        _say(build_bair(arguments.source, arguments.path, **settings).folder)
    elif isinstance(arguments, View):
        _view(arguments)
    else:
        _list()


def _say(folder: Path) -> None:
    clips = open_clips(folder)
    print(f"{len(clips)} clips of {clips.length} frames in {folder}\n{clips.facts['content_hash']}")


def _list() -> None:
    table = Table(Column("name", no_wrap=True), "clips", "frames", "source", "command")
    for index in sorted(clips_root().glob("*/index.json")):
        clips = open_clips(index.parent)
        table.add_row(
            index.parent.name,
            str(len(clips)),
            str(clips.length),
            clips.facts["source"],
            clips.facts["command"],
        )
    Console().print(table)
    print(f"videos lie in {clips_root()}")


def _view(arguments: View) -> None:
    if arguments.clips < 1:
        raise ValueError(f"clips starts at 1; got {arguments.clips}.")
    clips = open_clips(arguments.name)
    numbers = np.unique(np.linspace(0, len(clips) - 1, arguments.clips).round().astype(int)).tolist()
    seconds = float(clips.facts.get("interval_s", 1.0))
    source = clips.facts["source"]
    shots = [
        Shot(number=number, task=source, earned=0.0, frames=np.asarray(clips[number]), seconds=seconds)
        for number in numbers
    ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    sheet, gif = (arguments.out / f"{clips.folder.name}.{kind}" for kind in ("png", "gif"))
    contact_sheet(shots).save(sheet)
    write_gif([shot.frames for shot in shots], gif)
    print(f"{sheet}\n{gif}")
