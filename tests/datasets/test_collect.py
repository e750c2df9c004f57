"""Building datasets: what they hold, that they replay, that they are built again bit for bit."""

import dataclasses
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import minari
import numpy as np
import pytest

from latentctx_datasets import RECIPES, DatasetError, Recipe, cards, collect, demonstrators, identity, library
from latentctx_datasets.writing import Record, write
from latentctx_envs.point_mass.context import PointMassContext, split_goals

SHIPPED_ID = "latentctx/point-mass/expert-small-v0"
CARDS = Path(__file__).parents[2] / "datasets" / "cards"
RECIPE_FILES = Path(__file__).parents[2] / "datasets" / "recipes"


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_built_dataset_loads_with_minari_and_makes_its_environment(tiny: str, tiny_recipe: Recipe) -> None:
    dataset = minari.load_dataset(tiny)
    assert dataset.id == tiny
    assert (len(dataset), dataset.total_steps) == (4, 400)
    assert dataset.observation_space == gym.make(tiny_recipe.env_id).observation_space
    for evaluation in (False, True):
        with dataset.recover_environment(eval_env=evaluation) as env:
            assert env.spec == gym.make(tiny_recipe.env_id).spec


def test_metadata_names_makers_requirements_environments_and_reference_scores(
    tiny: str, tiny_recipe: Recipe
) -> None:
    dataset = minari.load_dataset(tiny)
    metadata = dataset.storage.metadata
    assert metadata["algorithm_name"] == "point-mass-expert"
    assert metadata["description"] == tiny_recipe.description
    assert metadata["code_permalink"].endswith(f"latentctx data build {tiny}")
    assert metadata["author"] and metadata["author_email"] and metadata["minari_version"]
    pinned = ("mujoco", "dm_control", "gymnasium")
    assert metadata["requirements"] == [f"{name}=={version(name)}" for name in pinned]
    assert gym.envs.registration.EnvSpec.from_json(metadata["eval_env_spec"]).id == tiny_recipe.env_id
    returns = [episode.rewards.sum() for episode in dataset.iterate_episodes()]
    assert metadata["ref_max_score"] == pytest.approx(np.mean(returns))
    assert metadata["ref_min_score"] == 0.0
    assert metadata["jpeg_encoding"] is False
    assert metadata["content_hash"] == identity.content_hash(dataset)


def test_every_episode_carries_its_context_split_success_and_seed(tiny: str, tiny_recipe: Recipe) -> None:
    dataset = minari.load_dataset(tiny)
    extras = dataset.storage.get_episode_metadata(dataset.episode_indices)
    for plan, extra, episode in zip(tiny_recipe.plans(), extras, dataset.iterate_episodes(), strict=True):
        context = PointMassContext.from_dict(json.loads(extra["context_json"]))
        assert context == plan.context
        assert context.goal in split_goals("train")
        assert (extra["split"], extra["seed"]) == ("train", plan.seed)
        assert bool(extra["success"]) == bool((episode.rewards > 0.99).any())
        assert extra["success"] == episode.infos["success"].any()


def test_stored_arrays_keep_the_index_convention(tiny: str) -> None:
    for episode in minari.load_dataset(tiny).iterate_episodes():
        assert episode.observations.shape == (101, 4) and episode.observations.dtype == np.float32
        assert episode.actions.shape == (100, 2) and episode.actions.dtype == np.float32
        assert len(episode.infos["physics_state"]) == len(episode.infos["success"]) == 101
        assert episode.truncations.tolist() == [False] * 99 + [True]
        assert not episode.terminations.any()


def test_an_episode_replays_from_its_stored_seed_options_and_actions(tiny: str, tiny_recipe: Recipe) -> None:
    dataset = minari.load_dataset(tiny)
    extras = dataset.storage.get_episode_metadata(dataset.episode_indices)
    env: Any = gym.make(tiny_recipe.env_id)
    for episode, extra in zip(dataset.iterate_episodes(), extras, strict=True):
        observation, _ = env.reset(seed=extra["seed"], options=extra["options"])
        seen, states, rewards = [observation], [env.unwrapped.physics_state()], []
        for action in episode.actions:
            observation, reward, *_ = env.step(action)
            seen.append(observation)
            states.append(env.unwrapped.physics_state())
            rewards.append(reward)
        np.testing.assert_array_equal(np.stack(seen), episode.observations)
        np.testing.assert_array_equal(np.stack(states), episode.infos["physics_state"])
        np.testing.assert_array_equal(rewards, episode.rewards)


def test_an_episode_that_ends_early_holds_nothing_of_its_neighbours_time(tiny: str) -> None:
    early, whole = library.load("latentctx/point-mass/uneven-v0"), library.load(tiny)
    assert len({len(episode.rewards) for episode in early}) > 1
    for short, long in zip(early, whole, strict=True):
        length = len(short.rewards)
        np.testing.assert_array_equal(short.observations, long.observations[: length + 1])
        np.testing.assert_array_equal(short.infos["physics_state"], long.infos["physics_state"][: length + 1])
        np.testing.assert_array_equal(short.rewards, long.rewards[:length])
        assert not short.infos["success"][:-1].any()
        assert short.terminations[-1] == short.infos["success"][-1] != short.truncations[-1]


def test_a_second_build_has_the_same_content_hash(tiny: str) -> None:
    before = identity.verify(tiny)
    shutil.rmtree(library.root() / tiny)
    assert collect.build(tiny) == before


def test_building_a_dataset_that_is_there_leaves_it_alone(tiny: str) -> None:
    file = library.root() / tiny / "data" / "main_data.hdf5"
    before = file.stat().st_mtime_ns
    assert collect.build(tiny) == identity.verify(tiny)
    assert file.stat().st_mtime_ns == before


def test_the_shipped_dataset_has_the_hash_of_a_rebuild() -> None:
    shipped = identity.recorded_hash(library.load(SHIPPED_ID))
    assert identity.verify(SHIPPED_ID) == shipped
    assert collect.build(SHIPPED_ID, force=True) == shipped


def test_a_forced_build_keeps_every_earlier_one_and_minari_still_lists_the_folder(tiny: str) -> None:
    folder = (library.root() / tiny).parent
    marked = library.root() / tiny / "marked"
    marked.touch()
    collect.build(tiny, force=True)
    collect.build(tiny, force=True)
    assert (folder / ".tiny-v0.broken-1" / "marked").exists()
    assert (folder / ".tiny-v0.broken-2" / "data" / "main_data.hdf5").exists()
    assert not marked.exists()
    assert tiny in minari.list_local_datasets()


def test_a_killed_build_leaves_no_dataset_and_the_next_one_works(
    monkeypatch: pytest.MonkeyPatch, tiny_recipe: Recipe
) -> None:
    whole = collect.collect

    def dies_after_two(recipe: Recipe) -> Iterator[Record]:
        yield from itertools.islice(whole(recipe), 2)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(collect, "collect", dies_after_two)
        with pytest.raises(KeyboardInterrupt):
            collect.build(tiny_recipe.id)
    assert not library.is_local(tiny_recipe.id)
    assert visible(library.root()) == []
    collect.build(tiny_recipe.id)
    assert library.load(tiny_recipe.id).total_episodes == 4


def test_what_another_process_has_built_meanwhile_stays(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    marked, calls = library.root() / tiny / "marked", []

    def late(dataset_id: str) -> bool:
        """Not there when the build asks first, there once it has the lock."""
        calls.append(dataset_id)
        return len(calls) > 1

    marked.touch()
    expected = identity.verify(tiny)
    monkeypatch.setattr(library, "is_local", late)
    assert collect.build(tiny) == expected
    assert marked.exists() and visible((library.root() / tiny).parent) == visible(marked.parents[1])
    assert not list(marked.parents[1].glob("*.broken-*"))


def test_a_build_ignores_what_a_process_killed_by_the_system_left_behind(tiny: str) -> None:
    expected = identity.verify(tiny)
    shutil.copytree(library.root() / tiny, library.root() / ".latentctx-point-mass-tiny-v0.partial" / tiny)
    shutil.rmtree(library.root() / tiny)
    assert collect.build(tiny) == expected
    assert not (library.root() / ".latentctx-point-mass-tiny-v0.partial").exists()


def test_a_dataset_without_a_recipe_is_not_built(refuses: Callable[..., Any]) -> None:
    with refuses("no recipe is called 'latentctx/other-v0'", error=DatasetError):
        collect.build("latentctx/other-v0")


def test_a_dataset_is_read_again_only_when_its_file_has_changed(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = collect.build(tiny)
    with monkeypatch.context() as patch:
        patch.setattr(identity, "content_hash", lambda dataset: pytest.fail("it was read again"))
        assert collect.build(tiny) == digest
    file = library.main_file(library.root() / tiny)
    os.utime(file, ns=(0, 0))
    asked = []
    monkeypatch.setattr(identity, "content_hash", lambda dataset: asked.append(dataset) or digest)
    assert collect.build(tiny) == collect.build(tiny) == digest and len(asked) == 1


def test_a_damaged_dataset_is_not_taken_for_built(tiny: str, refuses: Callable[..., Any]) -> None:
    with h5py.File(library.root() / tiny / "data" / "main_data.hdf5", "a") as file:
        file["episode_0/rewards"][5] += 0.001
    with refuses("changed after it was built", f"latentctx data build {tiny}", error=DatasetError):
        collect.build(tiny)


def test_a_card_states_what_the_dataset_holds(tiny: str, tmp_path: Path, tiny_recipe: Recipe) -> None:
    path = cards.write_card(tiny_recipe, tmp_path)
    text = path.read_text()
    assert path.name == "latentctx-point-mass-tiny-v0.md"
    for fact in (tiny_recipe.id, tiny_recipe.description, "4 (400 steps, 4 contexts)", identity.verify(tiny)):
        assert fact in text


def facts_of(card: Path) -> list[str]:
    """The card's lines but for those that library versions change."""
    return [line for line in card.read_text().splitlines() if not line.startswith(("| size", "| made with"))]


def test_every_recipe_has_a_line_with_its_command_and_a_card_once_it_can_be_built() -> None:
    lines = "\n".join(path.read_text() for path in RECIPE_FILES.glob("*.md"))
    known = [recipe for name, recipe in RECIPES.items() if "/tiny-" not in name]
    assert [r.id for r in known if f"latentctx data build {r.id}\n" not in lines] == []
    buildable = [r for r in known if all(demonstrators.is_ready(name) for name in r.demonstrators)]
    assert sorted(f"{r.id.replace('/', '-')}.md" for r in buildable) == visible(CARDS)


def test_the_shipped_dataset_matches_its_card(tmp_path: Path) -> None:
    library.load(SHIPPED_ID)
    card = cards.write_card(RECIPES[SHIPPED_ID], tmp_path)
    assert facts_of(card) == facts_of(CARDS / card.name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["expert-v0", "finetune-v0"])
def test_a_rebuilt_dataset_matches_its_card(name: str, tmp_path: Path) -> None:
    dataset_id = f"latentctx/point-mass/{name}"
    collect.build(dataset_id)
    card = cards.write_card(RECIPES[dataset_id], tmp_path)
    assert facts_of(card) == facts_of(CARDS / card.name)
    assert library.info(dataset_id)["success_rate"] == pytest.approx(0.87, abs=0.03)


def test_arrays_are_stored_compressed_and_are_read_as_they_were(tiny: str) -> None:
    dataset = library.load(tiny)
    file = library.main_file(library.root() / tiny)
    with h5py.File(file) as stored:
        states = stored["episode_0/infos/physics_state"]
        assert isinstance(states, h5py.Dataset) and states.compression == "gzip"
        assert np.array_equal(states[()], dataset[0].infos["physics_state"])  # type: ignore[index]


def _entries(item: h5py.Group | h5py.Dataset) -> tuple[Any, dict[str, Any]]:
    """What HDF5 holds under a name, as plain values: an array with its type, or a group; and its attributes."""
    value = (item.dtype.str, item[()].tolist()) if isinstance(item, h5py.Dataset) else "group"
    return value, {name: np.asarray(fact).tolist() for name, fact in item.attrs.items()}


@pytest.mark.parametrize("physics", [True, False])
def test_a_dataset_is_laid_out_as_minari_itself_lays_it_out(physics: bool, tiny_recipe: Recipe) -> None:
    records = list(collect.collect(tiny_recipe))
    if not physics:
        records = [(dataclasses.replace(buffer, infos={}), extra) for buffer, extra in records]
    named = {"algorithm_name": "x", "description": "x"}
    with gym.make(tiny_recipe.env_id, **tiny_recipe.env_kwargs) as env:
        write("latentctx/ours-v0", iter(records), env=env, command="a test", metadata=named)
        theirs = minari.create_dataset_from_buffers(
            "latentctx/theirs-v0", [buffer for buffer, _ in records], env=env, eval_env=env.spec,
            jpeg_encoding=False, author={"x"}, author_email={"x"}, code_permalink="x", **named,
        )  # fmt: skip
    theirs.storage.update_episode_metadata([extra for _, extra in records])
    found: list[dict[str, Any]] = []
    for name in ("latentctx/ours-v0", "latentctx/theirs-v0"):
        with h5py.File(library.main_file(library.root() / name)) as file:
            found.append({})
            file.visititems(lambda path, item: found[-1].update({path: _entries(item)}))
    assert found[0] == found[1] and len(found[0]) > 4 * 6
    ours, counts = library.load("latentctx/ours-v0").storage.metadata, ("total_episodes", "total_steps")
    assert [ours[name] for name in counts] == [theirs.storage.metadata[name] for name in counts]
