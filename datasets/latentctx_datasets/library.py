"""Where datasets are: ids, roots, loading, places for new ones, safe recovery."""

import contextlib
import difflib
import itertools
import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import minari
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator

from latentctx_datasets.recipes import RECIPES
from latentctx_envs.locks import locked
from latentctx_envs.registration import ids
from latentctx_envs.settings import SIGHT

ID_PATTERN = re.compile(r"[\w-]+(/[\w-]+)*-v\d+", re.ASCII)
SHIPPED_ROOT = Path(__file__).parent / "shipped"
WRAPPERS = ("latentctx_envs.wrappers.encode:EncodeObservation",)  # that a dataset may recover


class DatasetError(ValueError):
    """A dataset is unknown, missing, half-written or damaged."""


class ExistsError(DatasetError):
    """A dataset of that id is there already."""


def check_id(dataset_id: str) -> str:
    """The id itself.

    Raises:
        DatasetError: it is not of the form `namespace/name-vN` (it could reach outside the dataset folder).
    """
    if not ID_PATTERN.fullmatch(dataset_id):
        raise DatasetError(f"a dataset id looks like 'latentctx/point-mass/expert-v0'; got {dataset_id!r}.")
    if len(dataset_id.rpartition("/")[0]) == 1:
        raise DatasetError(
            f"Minari wants two characters or more before the last part of an id; got {dataset_id!r}."
        )
    return dataset_id


def root() -> Path:
    """Minari's folder: `MINARI_DATASETS_PATH`, else `~/.minari/datasets`."""
    path = os.environ.get("MINARI_DATASETS_PATH")
    return Path(path) if path is not None else Path.home() / ".minari" / "datasets"


def is_local(dataset_id: str) -> bool:
    """Whether the dataset lies in Minari's folder."""
    return (root() / check_id(dataset_id) / "data" / "metadata.json").is_file()


def others() -> dict[str, str]:
    """Id and description of the datasets in Minari's folder that have no recipe."""
    found = {}
    for file in sorted(root().rglob("data/metadata.json")):
        parts = file.relative_to(root()).parts[:-2]
        name = "/".join(parts)
        if name in RECIPES or any(part.startswith(".") for part in parts):
            continue
        with contextlib.suppress(OSError, ValueError, AttributeError):  # damaged: `load` says so
            found[name] = str(json.loads(file.read_text()).get("description", ""))
    return found


def refuse_local(dataset_id: str) -> None:
    """Refuse to write a dataset where one is.

    Raises:
        ExistsError: there is one.
    """
    if is_local(dataset_id):
        raise ExistsError(f"{dataset_id} is already in {root()}: move it away or choose another id.")


def refuse_taken(dataset_id: str) -> None:
    """Refuse an id for a dataset that no recipe makes.

    Raises:
        DatasetError: it is no id, there is such a dataset, or a recipe builds it: whoever asks for that means the recipe's.
    """
    refuse_local(dataset_id)
    if dataset_id in RECIPES:
        raise DatasetError(
            f"{dataset_id} is the id of what `latentctx data build` makes: choose another one, such as 'mine/{dataset_id.rpartition('/')[2]}'."
        )


def main_file(folder: Path) -> Path:
    """The HDF5 file of a dataset's folder."""
    return folder / "data" / "main_data.hdf5"


def id_of(dataset: minari.MinariDataset) -> str:
    """The id by which a dataset is found: where it lies, as one that was moved keeps its old id in its metadata."""
    folder = dataset.storage.data_path.parent
    return folder.relative_to(root()).as_posix() if folder.is_relative_to(root()) else str(dataset.id)


def load(dataset_id: str) -> minari.MinariDataset:
    """Load a dataset from Minari's folder; one that ships with the package is copied there first.

    Raises:
        DatasetError: bad id, not there, half-written or damaged; the message says what to do.
    """
    if not is_local(dataset_id):
        recipe = RECIPES.get(dataset_id)
        if recipe is None:
            raise DatasetError(f"no dataset {dataset_id!r} in {root()}, and {unknown(dataset_id)}")
        if not recipe.shipped or not (SHIPPED_ROOT / dataset_id).is_dir():
            raise DatasetError(f"{dataset_id} is not built yet: run `latentctx data build {dataset_id}`.")
        install_shipped(dataset_id)
    with told_damage(dataset_id):
        dataset = _quietly_load(dataset_id)
        if dataset.total_episodes < 1:
            raise DatasetError(f"it holds {dataset.total_episodes} episodes")
        list(dataset.storage.get_episode_metadata([dataset.total_episodes - 1]))  # opens the file
    return dataset


def _quietly_load(dataset_id: str) -> minari.MinariDataset:
    path = root() / dataset_id / "data" / "metadata.json"
    metadata = json.loads(path.read_text())
    if "observation_space" not in metadata or "action_space" not in metadata:
        raise DatasetError("its metadata names no spaces")  # Minari would call what env_spec names
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return minari.load_dataset(dataset_id)


def unknown(dataset_id: str) -> str:
    """The end of a message about an id that no recipe has: what was probably meant."""
    meant = difflib.get_close_matches(dataset_id, RECIPES, n=3)
    hint = f"did you mean {' or '.join(meant)}?" if meant else "`latentctx data list` shows all."
    return f"no recipe is called {dataset_id!r}: {hint}"


def remedy(dataset_id: str) -> str:
    """What to do about a dataset that is damaged."""
    again = f"run `latentctx data build {dataset_id}`" if dataset_id in RECIPES else "make it again"
    return f"move {root() / dataset_id} away and {again}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def install_shipped(dataset_id: str) -> Path:
    """Copy a dataset that ships with the package into Minari's folder, in one move.

    Raises:
        DatasetError: it does not ship.
    """
    source = SHIPPED_ROOT / check_id(dataset_id)
    if not source.is_dir():
        raise DatasetError(f"{dataset_id} does not ship with the package: build it instead.")
    target = root() / dataset_id
    if not is_local(dataset_id):
        with staging(dataset_id) as folder:
            if not is_local(dataset_id):  # another process may have installed it meanwhile
                adopt(shutil.copytree(source, folder / "copy"), dataset_id)
    return target


@contextlib.contextmanager
def staging(dataset_id: str) -> Iterator[Path]:
    """An empty hidden folder beside the datasets to make one in; what is left in it goes at the end."""
    path = root() / f".{dataset_id.replace('/', '-')}.partial"
    with locked(path):
        shutil.rmtree(path, ignore_errors=True)  # of a killed process
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def adopt(finished: Path, dataset_id: str) -> None:
    """Move a finished dataset folder to its place under Minari's folder."""
    from minari.namespace import create_namespace, list_local_namespaces

    namespace = dataset_id.rpartition("/")[0]
    if namespace and namespace not in list_local_namespaces():
        try:
            create_namespace(namespace)
        except ValueError:  # another process may have made it meanwhile
            if namespace not in list_local_namespaces():
                raise
    target = root() / dataset_id
    if target.exists():
        # never delete what somebody may want back; hidden, as Minari's listing fails on such a name
        names = (target.with_name(f".{target.name}.broken-{n}") for n in itertools.count(1))
        target.rename(next(path for path in names if not path.exists()))
    finished.rename(target)


@contextlib.contextmanager
def minari_root(path: Path) -> Iterator[None]:
    """Let Minari write under another folder for a while."""
    before = os.environ.get("MINARI_DATASETS_PATH")
    os.environ["MINARI_DATASETS_PATH"] = str(path)
    try:
        yield
    finally:
        if before is None:
            del os.environ["MINARI_DATASETS_PATH"]
        else:
            os.environ["MINARI_DATASETS_PATH"] = before


@contextlib.contextmanager
def told_damage(dataset_id: str) -> Iterator[None]:
    """Say of whatever reading a dataset raises that it is damaged, and what to do.

    Raises:
        DatasetError: the block raised.
    """
    try:
        yield
    except Exception as error:  # h5py, json and Minari raise many types on damaged files
        raise DatasetError(
            f"{root() / dataset_id} is damaged ({_first_line(error)}): {remedy(dataset_id)}."
        ) from None


def recover(dataset: minari.MinariDataset, *, eval_env: bool = False, **kwargs: Any) -> gym.Env[Any, Any]:
    """Make the dataset's environment; unlike Minari's recovery it calls no worlds but this project's and those registered here.

    Args:
        dataset: the dataset.
        eval_env: make the evaluation environment instead of the collecting one.
        kwargs: override keyword arguments of the environment, e.g. `observation="pixels"`.

    Raises:
        DatasetError: the metadata names no environment, or one from elsewhere.
    """
    return gym.make(spec_of(dataset, eval_env=eval_env), **kwargs)


def spec_of(dataset: minari.MinariDataset, *, eval_env: bool = False) -> EnvSpec:
    """What `recover` makes.

    Raises:
        DatasetError: the metadata names no environment, or one that is neither of this project nor registered here.
    """
    metadata = dataset.storage.metadata
    text = metadata.get("eval_env_spec" if eval_env else "env_spec") or metadata.get("env_spec")
    if not isinstance(text, str):
        raise DatasetError(f"{id_of(dataset)} names no environment.")
    spec = EnvSpec.from_json(text)
    check_calls(spec, id_of(dataset))
    if str(spec.entry_point).startswith(
        SCRIPT
    ):  # recorded by the script that registers the world, which has a name here
        spec.entry_point = gym.registry[spec.id].entry_point
    return spec


SCRIPT = "__main__:"  # begins entry points of a world that the running script registers


def check_calls(spec: EnvSpec, who: str) -> None:
    """Refuse a world that calls what is neither of this project nor registered here.

    Raises:
        DatasetError: it does.
    """
    allowed = {gym.spec(name).entry_point for name in ids()} | set(WRAPPERS)
    for point in (spec.entry_point, *(wrapper.entry_point for wrapper in spec.additional_wrappers)):
        if point not in allowed and not _is_own(spec.id, point):
            raise DatasetError(
                f"{who} wants to call {point!r}; only registered worlds (latentctx_envs.*) are made: if {spec.id} is yours, "
                "import the module that registers it first, by an entry point as 'module:Class'."
            )


def _is_own(env_id: str, point: Any) -> bool:
    """Whether the user has registered a world of this id in this process, which keeps our contract and is made by `point`."""
    from latentctx_envs.env import LatentContextEnv  # loads MuJoCo

    known = gym.registry.get(env_id)
    if known is None or not isinstance(point, str) or not isinstance(known.entry_point, str):
        return False
    recorded = point.removeprefix(SCRIPT) if point.startswith(SCRIPT) else None  # the class's name alone
    if known.entry_point != point and known.entry_point.partition(":")[2] != recorded:
        return False
    made = load_env_creator(known.entry_point)
    return isinstance(made, type) and issubclass(made, LatentContextEnv)


UNNAMED = "unnamed"  # world of datasets that name none


class PlayedIn(NamedTuple):
    """The world of a dataset, without what decides only what is shown."""

    env_id: str
    env_kwargs: dict[str, Any]


def played_in(dataset_id: str) -> PlayedIn:
    """The world that a dataset was played in, of a recipe's or of one's own.

    Raises:
        DatasetError: there is no such dataset, or it names no world of this project.
    """
    recipe = RECIPES.get(dataset_id)
    if recipe is not None:
        return PlayedIn(recipe.env_id, dict(recipe.env_kwargs))
    spec = spec_of(load(dataset_id))
    kwargs = {name: value for name, value in spec.kwargs.items() if name not in SIGHT}
    if spec.max_episode_steps != gym.spec(spec.id).max_episode_steps:
        kwargs["max_episode_steps"] = -1 if spec.max_episode_steps is None else spec.max_episode_steps
    return PlayedIn(spec.id, kwargs)


def body_of(dataset_id: str) -> PlayedIn:
    """The world whose body a dataset shows, whoever wrote it: nothing of what its metadata names is made.

    Of a world from elsewhere `env_kwargs` are those of its spec, with "additional_wrappers" if it has some and "max_episode_steps" if they
    are not the registered ones, or none; a dataset that names no world is of `UNNAMED`.

    Raises:
        DatasetError: there is no such dataset.
    """
    if dataset_id not in RECIPES:
        text = load(dataset_id).storage.metadata.get("env_spec")
        spec = EnvSpec.from_json(text) if isinstance(text, str) else None
        if spec is None:
            return PlayedIn(UNNAMED, {})
        if spec.id not in ids():
            usual = gym.registry.get(spec.id)
            if spec.additional_wrappers:
                spec.kwargs["additional_wrappers"] = [each.name for each in spec.additional_wrappers]
            if (
                usual is None
                or spec.max_episode_steps is None
                or spec.max_episode_steps != usual.max_episode_steps
            ):
                spec.kwargs["max_episode_steps"] = spec.max_episode_steps
            return PlayedIn(spec.id, spec.kwargs)
    return played_in(dataset_id)


def measured_in(dataset_id: str) -> PlayedIn:
    """The world in which imitators of a dataset are measured: its own, and where that has no time limit, with the usual one.

    Raises:
        DatasetError: as of `played_in`.
    """
    world = played_in(dataset_id)
    usual = {
        key: value for key, value in world.env_kwargs.items() if (key, value) != ("max_episode_steps", -1)
    }
    return PlayedIn(world.env_id, usual)  # or an episode that fails would never end


def info(dataset_id: str) -> dict[str, Any]:
    """What a dataset holds, as plain values: counts, success, sizes, hash, environment.

    Raises:
        DatasetError: it is missing or damaged.
    """
    dataset = load(dataset_id)
    metadata = dataset.storage.metadata
    with told_damage(dataset_id):
        extras = list(dataset.storage.get_episode_metadata(dataset.episode_indices))
    successes = [bool(extra["success"]) for extra in extras if "success" in extra]
    return {
        "id": dataset_id,
        "path": str(root() / dataset_id),
        "episodes": int(dataset.total_episodes),
        "steps": int(dataset.total_steps),
        "contexts": len({extra["context_json"] for extra in extras if "context_json" in extra}),
        "success_rate": float(np.mean(successes)) if successes else None,
        "megabytes": round(float(metadata.get("dataset_size", 0.0)), 2),
        "content_hash": metadata.get("content_hash"),
        "demonstrator": metadata.get("algorithm_name"),
        "description": metadata.get("description"),
    }
