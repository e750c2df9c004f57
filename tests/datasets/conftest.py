"""A tiny dataset of real episodes, in folders of the test's own."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latentctx_datasets import PixelStore, View, collect, library
from latentctx_datasets.mapped import MANIFEST
from latentctx_datasets.recipes import RECIPES, Plan, Recipe
from latentctx_datasets.recipes.point_mass import train_plans
from latentctx_datasets.store import ARRAYS, FORMAT_VERSION
from latentctx_envs.locomotion.context import WalkerContext

TINY = Recipe(
    id="latentctx/point-mass/tiny-v0",
    env_id="LatentCtx-PointMass-v0",
    demonstrator="point-mass-expert",
    plans=train_plans(4),
    description="Four episodes.",
)
UNEVEN = replace(
    TINY,
    id="latentctx/point-mass/uneven-v0",
    env_kwargs={"terminate_on_success": True},
    description="Episodes that end at the first success.",
)


def _walks() -> Iterator[Plan]:
    for task, seed in (("walk", 0), ("walk", 1), ("stand", 2)):
        yield Plan(context=WalkerContext(task=task), seed=seed, split="all")


WALKER = Recipe(
    id="latentctx/walker/tiny-v0",
    env_id="LatentCtx-Walker-v0",
    env_kwargs={"action_repeat": 2, "max_episode_steps": 6, "reward_mode": "last_substep"},
    demonstrator="random",
    plans=_walks,
    description="Two short walks and a stand.",
)


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has its own Minari folder and its own cache, and knows the tiny recipes."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setenv("LATENTCTX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(RECIPES, TINY.id, TINY)
    monkeypatch.setitem(RECIPES, WALKER.id, WALKER)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Minari folder with the tiny datasets and the uneven one, never to be changed."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(folder))
        for recipe in (TINY, UNEVEN, WALKER):
            patch.setitem(RECIPES, recipe.id, recipe)
            collect.build(recipe.id)
    yield folder


@pytest.fixture
def workers_in() -> Callable[[Path], list[str]]:
    """Command lines of this machine's processes that build in a folder for another one."""

    def find(folder: Path) -> list[str]:
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = file.read_text()
            except OSError:  # it has ended
                continue
            if "_worker" in words and str(folder) in words:
                found.append(words)
        return found

    return find


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    """Wait until something has happened, at most a minute."""

    def wait(happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not happened():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    return wait


@pytest.fixture
def tiny_recipe() -> Recipe:
    """The recipe of the tiny dataset, known to the project during the tests."""
    return TINY


@pytest.fixture
def tiny(built: Path) -> str:
    """Id of the tiny point-mass dataset, copied into the test's Minari folder (the others beside it)."""
    shutil.copytree(built, library.root(), dirs_exist_ok=True)
    return TINY.id


@pytest.fixture
def walker_recipe() -> Recipe:
    """The recipe of the tiny walker dataset: three episodes of two tasks, in the world of all tasks."""
    return WALKER


@pytest.fixture
def walker(tiny: str) -> str:
    """Id of the tiny walker dataset in the test's Minari folder."""
    return WALKER.id


@pytest.fixture
def tiny_view() -> View:
    """Frames that are rendered in a fraction of a second."""
    return View(image_size=12, render_profile="turbo")


@pytest.fixture
def numbered_store(tmp_path: Path) -> PixelStore:
    """A store on disk whose frame f and action f hold the number f, reward f its half; episodes of 3, 1, 7 and 5 actions."""
    lengths = np.array([3, 1, 7, 5])
    numbers = np.arange(20)
    arrays = {
        "frames": np.broadcast_to(numbers[:, None, None, None], (20, 5, 5, 3)).astype(np.uint8),
        "observations": numbers[:, None].astype(np.float32),
        "actions": np.stack([numbers, -numbers], axis=-1).astype(np.float32),
        "rewards": numbers.astype(np.float32) / 2,
        "starts": np.array([0, 4, 6, 14]),
        "lengths": lengths,
        "contexts": np.zeros((4, 2), np.float32),
    }
    path = tmp_path / "numbered"
    path.mkdir()
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    manifest = {
        "format_version": FORMAT_VERSION,
        "key": path.name,
        "dataset_id": "numbers-v0",
        "view": {"image_size": 5},
        "sha256": {name: sha256((path / f"{name}.npy").read_bytes()).hexdigest() for name in ARRAYS},
        "bytes": {name: (path / f"{name}.npy").stat().st_size for name in ARRAYS},
    }
    (path / MANIFEST).write_text(json.dumps(manifest))
    return PixelStore(path)


@pytest.fixture
def edit_metadata() -> Callable[..., None]:
    """`edit_metadata(id, key=value)`: change entries of a dataset's metadata; None removes one."""

    def edit(dataset_id: str, **changes: Any) -> None:
        path = library.root() / dataset_id / "data" / "metadata.json"
        metadata = {**json.loads(path.read_text()), **changes}
        path.write_text(json.dumps({key: value for key, value in metadata.items() if value is not None}))

    return edit


@pytest.fixture(scope="session")
def crops() -> Callable[[np.ndarray, int], list[np.ndarray]]:
    """`crops(image, pad)`: all (2 pad + 1)^2 crops of the edge-padded image, by index arithmetic."""

    def make(image: np.ndarray, pad: int) -> list[np.ndarray]:
        height, width, _ = image.shape
        places = [(top, left) for top in range(-pad, pad + 1) for left in range(-pad, pad + 1)]
        rows, columns = np.arange(height), np.arange(width)
        return [
            image[np.clip(rows + top, 0, height - 1)][:, np.clip(columns + left, 0, width - 1)]
            for top, left in places
        ]

    return make
