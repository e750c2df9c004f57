"""Pixels derived from stored states are what the live environment showed; exports hold them without loss."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import minari
import numpy as np
import pytest

from latentctx_datasets import DatasetError, Recipe, View, copies, identity, library, load, recover, replay
from latentctx_datasets.replay import latent_env
from latentctx_datasets.videos import write_videos

VIEWS = {
    "fast": View(image_size=16),
    "turbo": View(image_size=12, render_profile="turbo"),
    "visible": View(image_size=48, render_profile="turbo", goal_visible=True),
}


@pytest.mark.parametrize("name", VIEWS)
def test_derived_pixels_are_what_the_live_environment_showed(
    name: str, tiny: str, tiny_recipe: Recipe
) -> None:
    dataset = load(tiny)
    episode, extra = dataset[1], next(iter(dataset.storage.get_episode_metadata([1])))
    env = gym.make(tiny_recipe.env_id, observation="pixels", **VIEWS[name].arguments())
    shown = [env.reset(seed=extra["seed"], options={"context": json.loads(extra["context_json"])})[0]]
    shown += [env.step(action)[0] for action in episode.actions]
    (derived,) = replay(dataset, VIEWS[name], [1])
    assert derived.dtype == np.uint8
    assert len(np.unique(derived.reshape(101, -1), axis=0)) > 10  # the mass moves
    np.testing.assert_array_equal(derived, np.stack(shown))


def test_replay_yields_the_episodes_asked_for_in_their_order(tiny: str, tiny_view: View) -> None:
    every = list(replay(load(tiny), tiny_view, range(4)))
    chosen = list(replay(load(tiny), tiny_view, [2, 0]))
    np.testing.assert_array_equal(chosen, [every[2], every[0]])


def test_the_goal_is_seen_only_in_the_visible_view(tiny: str) -> None:
    hidden = next(replay(load(tiny), replace(VIEWS["visible"], goal_visible=False), [0]))
    visible = next(replay(load(tiny), VIEWS["visible"], [0]))
    assert (hidden != visible).any(axis=(1, 2, 3)).mean() > 0.5  # the mass may cover the goal


def test_pixels_of_a_dataset_without_physics_states_are_refused(
    tiny: str, tiny_view: View, refuses: Callable[..., Any]
) -> None:
    with h5py.File(library.root() / tiny / "data" / "main_data.hdf5", "a") as file:
        del file["episode_0/infos/physics_state"]
    with refuses("stores no physics states", error=DatasetError):
        next(replay(load(tiny), tiny_view, [0]))


def test_an_exported_dataset_holds_every_frame_without_loss(tiny: str) -> None:
    target = copies.export_pixels(tiny, pixels=40, profile="turbo")  # from 32 px on Minari would use JPEG
    assert target == "latentctx/point-mass/tiny-40px-v0"
    source, exported = load(tiny), minari.load_dataset(target)
    env = latent_env(recover(source, observation="pixels", image_size=40, render_profile="turbo"))
    extras = source.storage.get_episode_metadata(source.episode_indices)
    for episode, extra, copy in zip(source, extras, exported, strict=True):
        context = json.loads(extra["context_json"])
        frames = [env.frame(state, context) for state in episode.infos["physics_state"]]
        np.testing.assert_array_equal(copy.observations, np.stack(frames))
        np.testing.assert_array_equal(copy.actions, episode.actions)
        np.testing.assert_array_equal(copy.rewards, episode.rewards)
    assert identity.verify(target) == identity.recorded_hash(exported)


def test_an_exported_dataset_names_its_source_its_command_and_its_environment(tiny: str) -> None:
    target = copies.export_pixels(tiny, pixels=8, profile="turbo", target_id="mine/pixels-v3")
    exported = minari.load_dataset(target)
    metadata = exported.storage.metadata
    assert tiny in metadata["description"]
    assert metadata["code_permalink"].endswith(
        f"latentctx data export {tiny} --pixels 8 --profile turbo --to mine/pixels-v3"
    )
    assert metadata["ref_max_score"] == load(tiny).storage.metadata["ref_max_score"]
    with exported.recover_environment(eval_env=True) as env:
        assert env.observation_space == exported.observation_space
        np.testing.assert_array_equal(
            env.reset(seed=0, options={"context": {"goal": (0.0, 0.0)}})[0].shape, (8, 8, 3)
        )
    (extra,) = exported.storage.get_episode_metadata([2])
    (original,) = load(tiny).storage.get_episode_metadata([2])
    for key in ("context_json", "split", "seed", "success"):
        assert extra[key] == original[key]


def test_a_changed_dataset_is_not_exported(tiny: str, refuses: Callable[..., Any], tmp_path: Path) -> None:
    with h5py.File(library.root() / tiny / "data" / "main_data.hdf5", "a") as file:
        file["episode_0/actions"][3] = 0.5
    with refuses("changed after it was built", error=DatasetError):
        copies.export_pixels(tiny, pixels=8)
    with refuses("changed after it was built", error=DatasetError):
        write_videos(tiny, tmp_path / "videos", view=View(image_size=8))
    assert not library.is_local("latentctx/point-mass/tiny-8px-v0") and not (tmp_path / "videos").exists()


def test_what_minari_alone_recorded_in_our_world_is_exported(
    tiny: str, edit_metadata: Callable[..., None]
) -> None:
    edit_metadata(tiny, content_hash=None, algorithm_name=None, ref_max_score=None)
    target = copies.export_pixels(tiny, pixels=8, profile="turbo")
    assert identity.verify(target)
    assert load(target).storage.metadata["algorithm_name"] == "unknown"


def test_an_export_does_not_overwrite(tiny: str, refuses: Callable[..., Any], tmp_path: Path) -> None:
    with refuses("is already in", "choose another id", error=DatasetError):
        copies.export_pixels(tiny, pixels=8, target_id="latentctx/point-mass/uneven-v0")
