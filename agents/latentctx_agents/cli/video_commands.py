"""`latentctx videos`: clips without actions, for pretraining."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from latentctx_agents.cli.shared import check_count, check_folder
from latentctx_agents.cli.tables import print_table
from latentctx_datasets.sheet import Shot, contact_sheet, write_gif
from latentctx_datasets.videos import Clips, clips_root, open_clips
from latentctx_datasets.videos.bair import build_bair
from latentctx_datasets.videos.clips import read_index
from latentctx_datasets.videos.films import build_films
from latentctx_datasets.videos.joining import join
from latentctx_datasets.videos.meta_world import build_meta_world
from latentctx_datasets.videos.play import TASKS, build_play
from latentctx_datasets.videos.push import build_push
from latentctx_envs.rendering import RenderProfile


@dataclass(frozen=True, kw_only=True)
class Push:
    """Film a gripper that wanders about a tray and pushes three objects."""

    clips: int = 3000  # of 30 frames, 0.37 MB each
    seed: int = 0
    path: Path | None = None  # folder; by default "push" in the videos' folder
    workers: int | None = None  # processes; by default one a core


@dataclass(frozen=True, kw_only=True)
class Play:
    """Film Meta-World's arm at random actions, as LatentCtx-MetaWorldGoal-v0 shows it."""

    clips: int = 1500
    frames: int = 16  # of a clip, each two control steps after the one before
    tasks: tuple[str, ...] = TASKS  # whose scenes, in turn
    profile: RenderProfile = "fast"  # render profile
    seed: int = 0
    path: Path | None = None  # folder; by default "play" in the videos' folder
    workers: int | None = None  # processes; by default one a core


@dataclass(frozen=True, kw_only=True)
class MetaWorld:
    """Render demonstrations of a Meta-World task as LatentCtx-MetaWorldGoal-v0 shows them; `data build` makes them."""

    task: tyro.conf.Positional[str]  # e.g. push-v3, or the id of a dataset
    frames: int = 16  # of a clip, each two control steps after the one before
    profile: RenderProfile = "fast"  # render profile
    path: Path | None = None  # folder; by default "meta-world-<task>" in the videos' folder
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
class Films:
    """Cut films of your own: MP4 and such, GIF, arrays uint8 (t, height, width, 3), or folders of pictures, one a film."""

    source: Path  # folder that holds them, or holds folders that do
    frames: int = 16  # of a clip
    every: int = 1  # one frame in so many; about as much should move as in a decision of what will act
    path: Path | None = None  # folder; by default "films-<name of the source>" in the videos' folder
    workers: int | None = None  # processes; by default one a core


@dataclass(frozen=True, kw_only=True)
class Join:
    """Make one set of several of one length and size; files are linked, not copied, where the disk allows."""

    name: tyro.conf.Positional[str]  # of the new set
    sets: tyro.conf.Positional[tuple[str, ...]]  # names or folders, two at least
    path: Path | None = None  # folder; by default the name in the videos' folder


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
    """Build, join, list and look at sets of clips."""
    sources: Any = (
        Annotated[Push, tyro.conf.subcommand("push")]
        | Annotated[Play, tyro.conf.subcommand("play")]
        | Annotated[MetaWorld, tyro.conf.subcommand("meta-world")]
        | Annotated[Bair, tyro.conf.subcommand("bair")]
        | Annotated[Films, tyro.conf.subcommand("films")]
    )
    commands: Any = (
        Annotated[List, tyro.conf.subcommand("list")]
        | Annotated[View, tyro.conf.subcommand("view")]
        | Annotated[Join, tyro.conf.subcommand("join")]
    )
    if words[:1] == ["build"]:
        arguments = tyro.cli(sources, args=_source_and_task(words[1:]), prog="latentctx videos build")
    else:
        about = (
            "Clips without actions. `latentctx videos build push|play|meta-world:TASK|bair|films` makes some."
        )
        arguments = tyro.cli(commands, args=words, prog="latentctx videos", description=about)
    HANDLERS[type(arguments)](arguments)


def _source_and_task(words: list[str]) -> list[str]:
    """`meta-world:push-v3` as two words."""
    source, colon, task = words[0].partition(":") if words else ("", "", "")
    return [source, task, *words[1:]] if colon and source == "meta-world" else words


def _push(arguments: Push) -> None:
    wanted = {"clips": arguments.clips, "seed": arguments.seed, "workers": arguments.workers}
    _say(build_push(arguments.path, **wanted))


def _play(arguments: Play) -> None:
    wanted: Any = {"clips": arguments.clips, "frames": arguments.frames, "tasks": arguments.tasks}
    settings: Any = {
        "render_profile": arguments.profile,
        "seed": arguments.seed,
        "workers": arguments.workers,
    }
    _say(build_play(arguments.path, **wanted, **settings))


def _meta_world(arguments: MetaWorld) -> None:
    settings: Any = {"render_profile": arguments.profile, "workers": arguments.workers}
    _say(build_meta_world(arguments.task, arguments.path, frames=arguments.frames, **settings))


def _bair(arguments: Bair) -> None:
    settings: Any = {"camera": arguments.camera, "clips": arguments.clips, "workers": arguments.workers}
    _say(build_bair(arguments.source, arguments.path, **settings))


def _films(arguments: Films) -> None:
    cut: Any = {"frames": arguments.frames, "every": arguments.every, "workers": arguments.workers}
    _say(build_films(arguments.source, arguments.path, **cut))


def _join(arguments: Join) -> None:
    _say(join(arguments.name, arguments.sets, arguments.path))


def _say(clips: Clips) -> None:
    print(f"{len(clips)} clips of {clips.length} frames in {clips.folder}\n{clips.facts['content_hash']}")


def _list(arguments: List) -> None:
    folders = sorted(path for path in clips_root().glob("*") if path.is_dir())
    rows = ((folder.name, *_described(folder)) for folder in folders)
    print_table(("name", "clips", "frames", "source", "command"), rows)
    print(f"videos lie in {clips_root()}")


def _described(folder: Path) -> tuple[str, ...]:
    """The further columns of a set's row; its files are not read."""
    try:
        facts = read_index(folder)
    except ValueError:
        return "-", "-", "-", "not finished, or damaged: its build goes on, `view` tells"
    return str(facts["clips"]), str(facts["frames"]), facts["source"], str(facts.get("command", ""))


def _view(arguments: View) -> None:
    check_count("clips", arguments.clips)
    check_folder(arguments.out)
    clips = open_clips(arguments.name)
    numbers = np.unique(np.linspace(0, len(clips) - 1, arguments.clips).round().astype(int)).tolist()
    seconds = clips.facts.get("interval_s")
    source = clips.facts["source"]
    shots = [
        Shot(number=number, kind="clip", task=source, frames=np.asarray(clips[number]), seconds=seconds)
        for number in numbers
    ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    sheet, gif = (arguments.out / f"{clips.folder.name}.{kind}" for kind in ("png", "gif"))
    contact_sheet(shots).save(sheet)
    write_gif([[shot.frames for shot in shots]], gif)
    print(f"{sheet}\n{gif}")


HANDLERS: dict[type, Callable[..., None]] = {
    Push: _push,
    Play: _play,
    MetaWorld: _meta_world,
    Bair: _bair,
    Films: _films,
    Join: _join,
    List: _list,
    View: _view,
}
