"""`latentctx data ...`: datasets from recipes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from latentctx_agents.cli.shared import check_folder
from latentctx_agents.cli.tables import print_table
from latentctx_datasets import RECIPES, Recipe, cards, collect, copies, demonstrators, identity, library
from latentctx_envs.rendering import RenderProfile

Id = tyro.conf.Positional[str]


@dataclass(frozen=True, kw_only=True)
class Build:
    """Build a dataset from its recipe into Minari's folder; one that is there is verified and left alone."""

    id: Id  # e.g. latentctx/point-mass/expert-v0
    force: bool = False  # build again; the present one is kept beside the new one as .<name>.broken-1
    card: Path | None = None  # also write the dataset's card into this folder


@dataclass(frozen=True, kw_only=True)
class List:
    """List the recipes, which of them are built, and the other datasets in Minari's folder."""


@dataclass(frozen=True, kw_only=True)
class Info:
    """Show what a dataset holds."""

    id: Id


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Recompute a dataset's content hash and compare it with the recorded one."""

    id: Id


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a self-contained pixel copy of a dataset for other loaders (lossless)."""

    id: Id
    pixels: int = 84  # side of the square frames
    profile: RenderProfile = "fast"  # render profile
    to: str | None = None  # id of the copy; by default <name>-<pixels>px-vN


@dataclass(frozen=True, kw_only=True)
class Combine:
    """Write the episodes of several datasets of one world as one, with their contexts."""

    ids: tyro.conf.Positional[tuple[str, ...]]  # two or more, e.g. several recordings of one's own
    to: str  # id of the new dataset
    author: str = "unknown"  # who made it


@dataclass(frozen=True, kw_only=True)
class ExportVideos:
    """Write what was seen without actions, rewards or contexts: one lossless <number>.npz a demonstration."""

    id: Id
    out: Path  # a new folder; a killed export goes on in it
    pixels: int = 64  # side of the square frames
    profile: RenderProfile = "fast"  # render profile
    episodes: int | None = None  # only the first so many
    states: bool = False  # write the state observations beside the frames


@dataclass(frozen=True, kw_only=True)
class View:
    """Render a contact sheet (PNG) of some episodes and a GIF for each task."""

    id: Id
    out: Path = Path("runs/view")  # folder of the pictures
    episodes: int = 6  # evenly spaced over the dataset
    image_size: int = 96  # [pixels] side of a frame


@dataclass(frozen=True, kw_only=True)
class ToNpz:
    """Write a dataset of the cheetah or the walker as one <int>.npz a trajectory, in the layout of AIME's code."""

    id: Id
    out: Path  # a new folder
    episodes: int | None = None  # only the first so many
    pixels: int | None = None  # side of the frames to add as `image`; by default none


@dataclass(frozen=True, kw_only=True)
class FromNpz:
    """Read a folder of such files into a Minari dataset."""

    folder: tyro.conf.Positional[Path]
    id: Id  # of the dataset that is written, e.g. mine/walker-run-v0
    env_id: str  # the world of their task, e.g. LatentCtx-WalkerRun-v0
    author: str = "unknown"  # who made the data
    images: bool = False  # let `image` be the observation instead of the sensors


@dataclass(frozen=True, kw_only=True)
class ImportKitchen:
    """Read Minari's human kitchen demonstrations into a dataset whose contexts are what they completed, in order."""

    source: Id  # in Minari's folder, e.g. D4RL/kitchen/mixed-v2
    target: str  # id of the dataset that is written, e.g. latentctx/kitchen/mixed-v0


@dataclass(frozen=True, kw_only=True)
class ImportVd4rl:
    """Read V-D4RL's episodes of walker_walk or cheetah_run into a dataset whose observations are their frames."""

    folder: tyro.conf.Positional[Path]  # one of its folders 64px, which you downloaded
    id: Id  # of the dataset that is written; the second part is the body, e.g. vd4rl/walker/random-v0
    more: tuple[Path, ...] = ()  # further such folders, whose episodes come after these: a mix


@dataclass(frozen=True, kw_only=True)
class Install:
    """Copy a dataset that ships with the package into Minari's folder."""

    id: Id = "latentctx/point-mass/expert-small-v0"


def data(words: list[str]) -> None:
    """Run one of the dataset commands."""
    choices = (
        Annotated[Build, tyro.conf.subcommand("build")]
        | Annotated[List, tyro.conf.subcommand("list")]
        | Annotated[Info, tyro.conf.subcommand("info")]
        | Annotated[Verify, tyro.conf.subcommand("verify")]
        | Annotated[Export, tyro.conf.subcommand("export")]
        | Annotated[Combine, tyro.conf.subcommand("combine")]
        | Annotated[ExportVideos, tyro.conf.subcommand("export-videos")]
        | Annotated[View, tyro.conf.subcommand("view")]
        | Annotated[ToNpz, tyro.conf.subcommand("to-npz")]
        | Annotated[FromNpz, tyro.conf.subcommand("from-npz")]
        | Annotated[ImportKitchen, tyro.conf.subcommand("import-kitchen")]
        | Annotated[ImportVd4rl, tyro.conf.subcommand("import-vd4rl")]
        | Annotated[Install, tyro.conf.subcommand("install")]
    )
    arguments = tyro.cli(
        choices,  # type: ignore[arg-type]
        args=words,
        prog="latentctx data",
        description="Datasets of demonstrations, built from recipes into Minari's folder.",
    )
    HANDLERS[type(arguments)](arguments)


def _build(arguments: Build) -> None:
    check_folder(arguments.card)
    digest = collect.build(arguments.id, force=arguments.force)
    print(f"{arguments.id} {digest}")
    print(f"in {library.root() / arguments.id}")
    if arguments.card is not None:
        arguments.card.mkdir(parents=True, exist_ok=True)
        print(f"card {cards.write_card(RECIPES[arguments.id], arguments.card)}")


def _list(arguments: List) -> None:
    rows = [(recipe.id, _state(recipe), recipe.description) for recipe in RECIPES.values()]
    rows += [(name, "other", description) for name, description in library.others().items()]
    print_table(("id", "state", "description"), rows)
    print(f"Minari's folder: {library.root()}")


def _state(recipe: Recipe) -> str:
    if library.is_local(recipe.id):
        return "built"
    if recipe.shipped:
        return "ships"
    ready = all(demonstrators.is_ready(name) for name in recipe.demonstrators)
    return "recipe" if ready else "untrained"


def _info(arguments: Info) -> None:
    for name, value in library.info(arguments.id).items():
        print(f"{name:<14} {value}")


def _verify(arguments: Verify) -> None:
    print(f"{arguments.id} is whole: {identity.verify(arguments.id)}")


def _export(arguments: Export) -> None:
    target = copies.export_pixels(
        arguments.id, pixels=arguments.pixels, profile=arguments.profile, target_id=arguments.to
    )
    print(f'{target}: minari.load_dataset("{target}")')


def _combine(arguments: Combine) -> None:
    dataset = copies.combine(arguments.ids, arguments.to, author=arguments.author)
    print(f"{arguments.to}: {len(dataset)} episodes")


def _export_videos(arguments: ExportVideos) -> None:
    from latentctx_datasets import View as Frames
    from latentctx_datasets.videos import write_videos

    view = Frames(image_size=arguments.pixels, render_profile=arguments.profile)
    chosen = {"episodes": arguments.episodes, "states": arguments.states}
    print(f"{write_videos(arguments.id, arguments.out, view=view, **chosen)} videos in {arguments.out}")


def _view(arguments: View) -> None:
    from latentctx_datasets.sheet import show

    check_folder(arguments.out)
    shown = {"episodes": arguments.episodes, "image_size": arguments.image_size}
    for path in show(arguments.id, arguments.out, **shown):
        print(path)


def _to_npz(arguments: ToNpz) -> None:
    from latentctx_datasets import View as Frames
    from latentctx_datasets.npz_layout import write_npz

    view = None if arguments.pixels is None else Frames(image_size=arguments.pixels)
    count = write_npz(arguments.id, arguments.out, episodes=arguments.episodes, view=view)
    print(f"{count} trajectories in {arguments.out}")


def _from_npz(arguments: FromNpz) -> None:
    from latentctx_datasets.npz_layout import read_npz

    source = {"env_id": arguments.env_id, "author": arguments.author, "images": arguments.images}
    print(f"{arguments.id} {read_npz(arguments.folder, arguments.id, **source)}")


def _import_kitchen(arguments: ImportKitchen) -> None:
    from latentctx_datasets.kitchen_layout import import_kitchen

    digest, kept, skipped = import_kitchen(arguments.source, arguments.target)
    print(f"{arguments.target} {digest}")
    print(f"{kept} episodes, {skipped} left out: fewer than four sub-tasks completed")


def _import_vd4rl(arguments: ImportVd4rl) -> None:
    from latentctx_datasets.vd4rl import import_vd4rl

    digest, count = import_vd4rl([arguments.folder, *arguments.more], arguments.id)
    print(f"{arguments.id} {digest}\n{count} episodes")


def _install(arguments: Install) -> None:
    print(f"{arguments.id} in {library.install_shipped(arguments.id)}")


HANDLERS: dict[type, Callable[..., None]] = {
    Build: _build,
    List: _list,
    Info: _info,
    Verify: _verify,
    Export: _export,
    Combine: _combine,
    ExportVideos: _export_videos,
    View: _view,
    ToNpz: _to_npz,
    FromNpz: _from_npz,
    ImportKitchen: _import_kitchen,
    ImportVd4rl: _import_vd4rl,
    Install: _install,
}
