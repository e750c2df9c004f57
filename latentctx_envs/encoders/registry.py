"""Names of encoders: the registry of classes, closed but for what the user registers, and the zoo that ships."""

from pathlib import Path
from typing import TypeVar

from latentctx_envs.encoders.base import CONFIG_FILE, Encoder, read_config
from latentctx_envs.encoders.convnet import ConvNet
from latentctx_envs.encoders.dynamics.encoder import DynamicsEncoder
from latentctx_envs.encoders.latent.encoder import LatentEncoder
from latentctx_envs.encoders.resnet import ResNet18

CLASSES: dict[str, type[Encoder]] = {
    "ConvNet": ConvNet,
    "DynamicsEncoder": DynamicsEncoder,
    "LatentEncoder": LatentEncoder,
    "ResNet18": ResNet18,
}
E = TypeVar("E", bound=Encoder)
ZOO = Path(__file__).parent / "zoo"
HUB_SECONDS = 5.0  # that the hub may take to answer


def register_encoder(kind: type[E]) -> type[E]:
    """Let folders hold encoders of a class of your own, so that wrappers take them by name; a decorator.

    Raises:
        ValueError: it is no class of encoders, or has the name of one of this project's.
    """
    if not (isinstance(kind, type) and issubclass(kind, Encoder)):
        raise ValueError(f"register_encoder takes a subclass of Encoder; got {kind!r}.")
    known = CLASSES.get(kind.__name__)
    if known is not None and known is not kind and known.__module__.startswith("latentctx_envs."):
        raise ValueError(f"{kind.__name__} is the name of an encoder of this project; take another.")
    CLASSES[kind.__name__] = kind
    return kind


def zoo_names(zoo: Path | None = None) -> tuple[str, ...]:
    """Names of the encoders that ship with the package, or lie in another folder of encoders."""
    return tuple(sorted(path.parent.name for path in (zoo or ZOO).glob(f"*/{CONFIG_FILE}")))


def load_encoder(name: str | Path, *, revision: str | None = None, local_files_only: bool = False) -> Encoder:
    """Load an encoder by directory, zoo name or hub id ("owner/name"), in that order.

    Raises:
        ValueError: there is no such encoder, its files are damaged, or its class is not in the registry.
    """
    if not isinstance(name, (str, Path)):
        raise ValueError(f"an encoder is an Encoder, a folder or a name; got {name!r}.")
    directory = Path(name)
    if not directory.is_dir() and str(name) in zoo_names():
        directory = ZOO / str(name)
    if not directory.is_dir():
        if str(name).count("/") != 1 or str(name).startswith((".", "/")):
            raise ValueError(
                f"no encoder {str(name)!r}: expected a directory, a hub id 'owner/name', or one of the zoo's "
                f"{list(zoo_names())}."
            )
        return _from_hub(str(name), revision, local_files_only)
    return _class_of(directory).from_pretrained(directory)


def _from_hub(name: str, revision: str | None, local_files_only: bool) -> Encoder:
    from huggingface_hub import hf_hub_download

    unreachable = None if local_files_only else _no_hub(name, revision)
    local_files_only |= unreachable is not None  # it would be asked again and again for half a minute
    try:
        config = hf_hub_download(name, CONFIG_FILE, revision=revision, local_files_only=local_files_only)
    except (OSError, ValueError) as error:  # every hub failure is one, offline and bad names included
        if unreachable is not None:
            told = f"and if it is a hub id, the hub cannot be reached: {unreachable}"
        else:
            told = f"and the hub gave none: {str(error).splitlines()[0]}"
        raise ValueError(f"no directory {name!r} here, {told}") from None
    return _class_of(Path(config).parent).from_pretrained(
        name, revision=revision, local_files_only=local_files_only
    )


def _no_hub(name: str, revision: str | None) -> str | None:
    """Why the hub does not answer, asked once; None where it does, whatever it says."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        get_hf_file_metadata(hf_hub_url(name, CONFIG_FILE, revision=revision), timeout=HUB_SECONDS)
    except (HfHubHTTPError, HFValidationError):
        return None
    except Exception as error:  # of whichever HTTP library the hub's client stands on
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return None


def _class_of(directory: Path) -> type[Encoder]:
    kind = read_config(directory)["encoder"]
    if kind not in CLASSES:
        raise ValueError(
            f"{directory} holds an encoder of class {kind!r}; known are {sorted(CLASSES)}: if it is yours, import the module "
            "that registers it (register_encoder) first."
        )
    return CLASSES[kind]
