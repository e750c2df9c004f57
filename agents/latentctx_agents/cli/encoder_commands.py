"""`latentctx encoders ...`: the zoo of encoders that ship."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from latentctx_agents.cli.tables import print_table


@dataclass(frozen=True, kw_only=True)
class List:
    """List the encoders that ship with the package."""

    zoo: Path | None = None  # folder of the encoders; by default the package's


@dataclass(frozen=True, kw_only=True)
class Show:
    """Print an encoder's card: how it was made, how to use it, what was measured on it."""

    name: tyro.conf.Positional[str]  # e.g. point-mass-id
    zoo: Path | None = None  # folder of the encoders; by default the package's


@dataclass(frozen=True, kw_only=True)
class Publish:
    """Put a finished run's encoder into the zoo, in half precision, with its card; what it was trained on must be there."""

    # of `latentctx pretrain`, `world-model` or `pvdr pretrain`; holds encoder/
    run: tyro.conf.Positional[Path]
    name: tyro.conf.Positional[str]  # in the zoo; an encoder of this name is replaced
    results: tuple[Path, ...] = ()  # CSVs with success measured on this encoder, of image encoders
    zoo: Path | None = None  # folder of the encoders; by default the package's


@dataclass(frozen=True, kw_only=True)
class Import:
    """Make an encoder of ResNet-18's weights that you downloaded: ImageNet's (torchvision, timm) or R3M's."""

    weights: tyro.conf.Positional[Path]  # .safetensors, .pth or .pt; nothing but tensors is read
    out: tyro.conf.Positional[Path]  # folder of the encoder
    image_size: int = 120  # side of the frames [pixels]


def encoders(words: list[str]) -> None:
    """Run one of the encoder commands."""
    choices = (
        Annotated[List, tyro.conf.subcommand("list")]
        | Annotated[Show, tyro.conf.subcommand("show")]
        | Annotated[Publish, tyro.conf.subcommand("publish")]
        | Annotated[Import, tyro.conf.subcommand("import")]
    )
    arguments = tyro.cli(
        choices,  # type: ignore[arg-type]
        args=words,
        prog="latentctx encoders",
        description="Encoders that ship with the package; wrappers take them by name.",
    )
    HANDLERS[type(arguments)](arguments)


def _list(arguments: List) -> None:
    from latentctx_agents import zoo

    rows = []
    for entry in zoo.entries(_folder(arguments)):
        size = f"{entry.bytes / 1000:.0f}"
        facts = (entry.objective, entry.dataset, entry.input_size, str(entry.features), size, entry.success)
        rows.append((entry.name, *facts))
    print_table(("name", "objective", "dataset", "input", "features", "kB", "success"), rows)


def _show(arguments: Show) -> None:
    from latentctx_agents import zoo

    print(zoo.card(arguments.name, _folder(arguments)))


def _publish(arguments: Publish) -> None:
    from latentctx_agents import zoo

    print(zoo.publish(arguments.run, arguments.name, arguments.results, zoo=_folder(arguments)))


def _import(arguments: Import) -> None:
    from latentctx_envs.encoders import ResNet18, ResNet18Config

    size = (arguments.image_size, arguments.image_size)
    ResNet18.from_weights(arguments.weights, ResNet18Config(image_size=size)).save_pretrained(arguments.out)
    print(arguments.out)


def _folder(arguments: List | Show | Publish) -> Path:
    from latentctx_envs.encoders.registry import ZOO

    return ZOO if arguments.zoo is None else arguments.zoo


HANDLERS: dict[type[Any], Callable[[Any], None]] = {
    List: _list,
    Show: _show,
    Publish: _publish,
    Import: _import,
}
