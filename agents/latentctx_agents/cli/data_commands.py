"""`latentctx data ...`: datasets from recipes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from latentctx_datasets import RECIPES, collect, library
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
    """List the recipes and which of them are built."""


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
    digest = collect.build(arguments.id, force=arguments.force)
    print(f"{arguments.id} {digest}")
    print(f"in {library.root() / arguments.id}")
    if arguments.card is not None:
        arguments.card.mkdir(parents=True, exist_ok=True)
        print(f"card {collect.write_card(RECIPES[arguments.id], arguments.card)}")


def _list(arguments: List) -> None:
    table = Table("id", "state", "description")
    for recipe in RECIPES.values():
        state = "built" if library.is_local(recipe.id) else "ships" if recipe.shipped else "recipe"
        table.add_row(recipe.id, state, recipe.description)
    console = Console()
    console.print(table)
    console.print(f"Minari's folder: {library.root()}", soft_wrap=True)


def _info(arguments: Info) -> None:
    for name, value in library.info(arguments.id).items():
        print(f"{name:<14} {value}")


def _verify(arguments: Verify) -> None:
    print(f"{arguments.id} is whole: {library.verify(arguments.id)}")


def _export(arguments: Export) -> None:
    target = collect.export_pixels(
        arguments.id, pixels=arguments.pixels, profile=arguments.profile, target_id=arguments.to
    )
    print(f'{target}: minari.load_dataset("{target}")')


def _install(arguments: Install) -> None:
    print(f"{arguments.id} in {library.install_shipped(arguments.id)}")


HANDLERS: dict[type, Callable[..., None]] = {
    Build: _build,
    List: _list,
    Info: _info,
    Verify: _verify,
    Export: _export,
    Install: _install,
}
