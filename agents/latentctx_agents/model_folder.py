"""Models on disk: a folder of config and safetensors, never pickle."""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from latentctx_envs.encoders.tensors import write_tensors
from latentctx_envs.replacing import link_if_equal, replacing_folder, sha256_of

FORMAT_VERSION = 1
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
HOLDS = {
    "world_model": "AIME agent", "agent": "goal agent", "encoder": "encoder", "env_id": "policy",
    "family": "world model", "model": "video model",
}  # fmt: skip
"""A fact in the config of a folder -> what the folder holds; the first that is there tells."""
Model = TypeVar("Model", bound=nn.Module)


def write_model(
    model: nn.Module,
    directory: Path,
    facts: Mapping[str, Any],
    training: Mapping[str, Any],
    *,
    parts: Mapping[str, str] | None = None,
    beside: Path | None = None,
) -> None:
    """Write a model, replacing the directory in one move.

    Args:
        model: whose weights.
        directory: where to.
        facts: JSON values from which the model can be made again.
        training: JSON values of how it was trained.
        parts: modules of it whose weights are files of their own -> the files' names.
        beside: a model's folder; a part with the weights that are there takes no space of its own, where the disk can.

    Raises:
        ValueError: the directory holds something else.
    """
    config = {"format_version": FORMAT_VERSION, **facts, "training": dict(training)}
    files = {} if parts is None else parts
    with replacing_folder(directory, own=(CONFIG_FILE, WEIGHTS_FILE, *files.values()), what="a model") as new:
        (new / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
        weights = model.state_dict()
        for name, file in files.items():
            own = [key for key in weights if key.startswith(f"{name}.")]
            write_tensors(new / file, {key.removeprefix(f"{name}."): weights.pop(key) for key in own})
            if beside is not None:
                link_if_equal(beside / WEIGHTS_FILE, new / file)
        write_tensors(new / WEIGHTS_FILE, weights)


def weights_hash(directory: Path) -> str:
    """sha256 of the weights that `write_model` wrote; of several files, of their hashes in the order of their names."""
    files = sorted(directory.glob("*.safetensors"))
    if len(files) < 2:
        return sha256_of(directory / WEIGHTS_FILE)
    return sha256("".join(map(sha256_of, files)).encode()).hexdigest()


def told_by(directory: Path) -> dict[str, Any]:
    """What a folder says that it holds; nothing where there is nothing to read, of which its reader says more."""
    try:
        config = json.loads((directory / CONFIG_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def kind_of(directory: Path) -> str | None:
    """What a folder holds, a name in `HOLDS`; None where it does not say."""
    config = told_by(directory)
    return next((name for fact, name in HOLDS.items() if fact in config), None)


def refuse_other_folder(directory: Path, kind: str, *inside: str) -> None:
    """Refuse a whole folder of another kind: that of a run, whose config has no format version, or of another model.

    Raises:
        ValueError: it is one, and which folder in it is meant.
    """
    config = told_by(directory)
    if not config:
        return  # whoever reads it says more
    if "format_version" not in config:
        meant = [str(directory / name) for name in inside if (directory / name / CONFIG_FILE).is_file()]
        told = f"name {' or '.join(meant)}" if meant else "name the folder that holds one"
        raise ValueError(f"{directory} is no {kind}, but the folder of a run: {told}.")
    holds = kind_of(directory)
    if holds not in (None, kind):
        raise ValueError(f"{directory} is no {kind}; it holds another kind of model: {holds}.")


def first_missing(directory: Path, *names: str) -> str:
    """The first of a folder's files that is not there; safetensors does not say which one it did not find."""
    return next((name for name in names if not (directory / name).exists()), names[-1])


def read_model(
    directory: Path,
    kind: str,
    make: Callable[[dict[str, Any]], Model],
    *,
    parts: Mapping[str, str] | None = None,
) -> tuple[Model, dict[str, Any]]:
    """A model in evaluation mode, and the record of its training.

    Args:
        directory: what `write_model` wrote.
        kind: what it is, for refusals, such as "world model".
        make: a model from the facts, with any weights.
        parts: as `write_model` took them; folders of before have all weights in one file.

    Raises:
        ValueError: files are missing or damaged, or hold something else.
    """
    refuse_other_folder(directory, kind, "model", "agent")
    try:
        config = json.loads((directory / CONFIG_FILE).read_text())
        if config["format_version"] != FORMAT_VERSION:
            raise ValueError("another format version")
        model, training = make(config), dict(config["training"])
        weights = load_file(directory / WEIGHTS_FILE)
        for name, file in ({} if parts is None else parts).items():
            if not any(key.startswith(f"{name}.") for key in weights):
                weights |= {f"{name}.{key}": value for key, value in load_file(directory / file).items()}
        model.load_state_dict(weights)
    except FileNotFoundError:
        missing = first_missing(directory, CONFIG_FILE, WEIGHTS_FILE, *(parts or {}).values())
        raise ValueError(f"{directory} is no {kind}: {missing} is missing.") from None
    except KeyError as error:
        raise ValueError(f"{directory} is damaged (no {error}): train the {kind} again.") from None
    except (ValueError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{directory} is damaged ({reason}): train the {kind} again.") from None
    return model.eval(), training
