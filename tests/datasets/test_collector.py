"""DemonstrationCollector: what is kept of episodes that anybody plays, what a killed session leaves, what is refused."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import minari
import numpy as np
import pytest
from gymnasium.wrappers import Autoreset, MaxAndSkipObservation, RescaleAction, StickyAction
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

import latentctx_envs  # noqa: F401
from latentctx_datasets import (
    DemonstrationCollector,
    View,
    finish_recording,
    identity,
    info,
    library,
    load,
    open_store,
    replay,
)
from latentctx_datasets.copies import combine
from latentctx_datasets.demonstrators.point_mass import PointMassExpert
from latentctx_datasets.recipes import RECIPES
from latentctx_datasets.recording import Recording
from latentctx_envs.locks import locked
from latentctx_envs.rollout import rollout
from latentctx_envs.wrappers import EncodeObservation, PinContext

ID = "mine/demonstrations-v0"
Refuses = Callable[..., Any]


def play(env: gym.Env[Any, Any], seed: int, steps: int = 4) -> list[Any]:
    """Random actions for some steps; what was seen."""
    seen = [env.reset(seed=seed)[0]]
    env.action_space.seed(seed)
    for _ in range(steps):
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        seen.append(observation)
        if terminated or truncated:
            break
    return seen


def seeds_of(dataset: minari.MinariDataset) -> list[int | None]:
    return [extra.get("seed") for extra in dataset.storage.get_episode_metadata(dataset.episode_indices)]


@pytest.mark.parametrize(
    ("env_id", "settings"),
    [
        ("LatentCtx-PointMass-v0", {"noise_scale": 0.1}),
        ("LatentCtx-Walker-v0", {"action_repeat": 2}),
        ("LatentCtx-PickPlace-v0", {}),
        ("LatentCtx-PickPlace-v0", {"goal_visible": True}),
        ("LatentCtx-MetaWorld-v0", {"task": "reach-v3", "goal_visible": False}),
    ],
)
def test_what_was_seen_as_pixels_is_derived_from_what_was_kept(env_id: str, settings: dict[str, Any]) -> None:
    shown = {"observation": "pixels", "image_size": 24, "render_profile": "turbo", "max_episode_steps": 4}
    env = DemonstrationCollector(gym.make(env_id, **shown, **settings), ID)
    seen = [np.stack(play(env, seed)) for seed in (3, 5)]
    dataset = env.create_dataset(demonstrator="chance", author="me")
    env.close()
    frames = list(replay(dataset, View(image_size=24, render_profile="turbo"), [0, 1]))
    assert all((a == b).all() for a, b in zip(seen, frames, strict=True))
    assert seeds_of(dataset) == [3, 5]
    assert dataset[0].truncations[-1] and not dataset[0].truncations[:-1].any()
    spec = library.recover(dataset).spec
    assert spec is not None and not set(spec.kwargs) & {"observation", "image_size", "render_profile"}
    assert settings.items() <= spec.kwargs.items() and spec.max_episode_steps == 4
    assert identity.verify(ID) == info(ID)["content_hash"]


def test_an_episode_is_kept_as_a_recipe_would_build_it(tiny: str) -> None:
    env = DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", observation="pixels"), ID)
    resets = [
        {"seed": plan.seed, "options": {"context": plan.context.to_dict()}} for plan in RECIPES[tiny].plans()
    ]
    acting = gym.wrappers.TransformObservation(
        env, lambda _: env.unwrapped.state_observation(), env.unwrapped.vector_spaces["state"]
    )
    for _ in rollout(acting, PointMassExpert(), resets):
        pass
    ours, built = env.create_dataset(), load(tiny)
    for one, other in zip(ours, built, strict=True):
        assert (one.observations == other.observations).all()
        assert (one.actions == other.actions).all()
        assert (one.rewards == other.rewards).all()
        assert (one.infos["physics_state"] == other.infos["physics_state"]).all()
        assert (one.infos["success"] == other.infos["success"]).all()
    metadata = [list(d.storage.get_episode_metadata(range(4))) for d in (ours, built)]
    contexts = [[json.loads(extra["context_json"]) for extra in part] for part in metadata]
    assert contexts[0] == contexts[1]


def test_actions_beyond_the_bounds_are_kept_as_they_are_done() -> None:
    env = DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", disable_env_checker=True), ID)
    env.reset(seed=0)
    env.step(np.array([5.0, -0.5], np.float32))
    assert env.create_dataset()[0].actions.tolist() == [[1.0, -0.5]]


def test_features_can_be_acted_on_around_the_collector() -> None:
    base = gym.make("LatentCtx-PointMass-v0", observation="pixels", image_size=47)
    collector = DemonstrationCollector(base, ID)
    seen = play(EncodeObservation(collector, "point-mass-id"), 0)
    assert seen[0].shape == (64,)
    dataset = collector.create_dataset()
    assert dataset[0].observations.shape == (5, 4)


def test_an_episode_that_is_left_ends_there_and_one_that_is_discarded_is_gone() -> None:
    env = DemonstrationCollector(gym.make("LatentCtx-PointMass-v0"), ID)
    play(env, 0, steps=2)
    play(env, 1, steps=3)  # its reset ends the first
    env.discard()
    assert env.episodes == 1
    env.reset(seed=2)  # an episode without a step is none
    play(env, 3, steps=200)
    assert env.episodes == 2
    env.discard()  # the one that has just ended
    play(env, 4, steps=5)
    dataset = env.create_dataset()
    assert seeds_of(dataset) == [0, 4]
    assert [len(episode.actions) for episode in dataset] == [2, 5]
    assert dataset[0].truncations.tolist() == [False, True]
    assert not (library.root() / ".mine-demonstrations-v0.recording").exists()
    play(env, 5)  # goes on, and is not recorded
    assert len(load(ID)) == 2


KILLED = f"""
import os
import gymnasium as gym
import latentctx_envs
from latentctx_datasets import DemonstrationCollector
env = DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", max_episode_steps=3), {ID!r})
for seed in range(env.episodes, 3):
    env.reset(seed=seed)
    for step in range(3):
        if (seed, step) == (2, 1):
            os._exit(9)
        env.step(env.action_space.sample())
"""


def test_a_killed_session_loses_the_running_episode_alone() -> None:
    assert subprocess.run([sys.executable, "-c", KILLED], timeout=120).returncode == 9
    env = DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", max_episode_steps=3), ID)
    assert env.episodes == 2
    play(env, 7, steps=3)
    dataset = env.create_dataset()
    assert seeds_of(dataset) == [0, 1, 7]


def test_a_closed_collector_is_gone_on_with_and_nobody_records_beside_it(refuses: Refuses) -> None:
    first = DemonstrationCollector(gym.make("LatentCtx-PointMass-v0"), ID)
    play(first, 0)
    with refuses("is being recorded already"):
        DemonstrationCollector(gym.make("LatentCtx-PointMass-v0"), ID)
    first.close()
    with refuses("holds episodes of another world or dataset"):
        DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", noise_scale=0.1), ID)
    with refuses("holds episodes of another world or dataset"):  # its folder has the same name
        DemonstrationCollector(gym.make("LatentCtx-PointMass-v0"), ID.replace("/", "-"))
    second = DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", observation="position"), ID)
    assert second.episodes == 1
    second.create_dataset()
    with refuses("was created or closed"):
        second.create_dataset()
    with refuses("is already in"):
        DemonstrationCollector(gym.make("LatentCtx-PointMass-v0"), ID)


def test_the_id_of_a_recipe_is_not_recorded_under(refuses: Refuses) -> None:
    with refuses("`latentctx data build` makes", "'mine/walk-expert-v0'"):
        DemonstrationCollector(gym.make("LatentCtx-WalkerWalk-v0"), "latentctx/walker/walk-expert-v0")


def test_what_cannot_be_recorded_is_refused(refuses: Refuses) -> None:
    with refuses("a dataset id looks like"):
        DemonstrationCollector(gym.make("LatentCtx-PointMass-v0"), "../elsewhere-v0")
    with refuses("shows no bare states"):
        DemonstrationCollector(gym.make("LatentCtx-MetaWorldGoal-v0", task="reach-v3"), ID)
    rescaled = RescaleAction(gym.make("LatentCtx-PointMass-v0"), np.float32(-2.0), np.float32(2.0))
    plain = gym.make("LatentCtx-PointMass-v0")
    for wrapped in (rescaled, Autoreset(plain), StickyAction(plain, 0.5), MaxAndSkipObservation(plain, 4)):
        with refuses(f"{type(wrapped).__name__} may change", "around the DemonstrationCollector"):
            DemonstrationCollector(wrapped, ID)
    with refuses("two characters or more"):  # Minari would take no such id
        DemonstrationCollector(plain, "a/x-v0")
    DemonstrationCollector(PinContext(plain, {"goal": (0.1, 0.2)}), ID).close()
    with refuses("no episode was recorded"):
        DemonstrationCollector(gym.make("LatentCtx-PointMass-v0"), ID).create_dataset()


def test_own_episodes_are_rendered_as_those_of_recipes_are(tmp_path: Path) -> None:
    env = DemonstrationCollector(gym.make("LatentCtx-PointMass-v0"), ID)
    for seed in range(2):
        play(env, seed)
    env.create_dataset()
    store = open_store(ID, View(image_size=16, render_profile="turbo"), workers=1)
    assert store.frames.shape == (10, 16, 16, 3)
    assert store.contexts.shape == (2, 2)
    assert store.render_profile == "turbo"


@pytest.mark.parametrize("kind", [gym.vector.SyncVectorEnv, gym.vector.AsyncVectorEnv])
def test_a_vector_of_environments_records_one_dataset(kind: Any) -> None:
    vector = kind([shared_collector] * 2)
    assert vector.reset(seed=3)[0].shape == (2, 4)
    for _ in range(2 * (4 + 1) - 1):  # the step after an end begins the next episode
        vector.step(np.zeros((2, 2), np.float32))
    vector.close()
    dataset = finish_recording(ID, demonstrator="nobody")
    assert [len(episode.actions) for episode in dataset] == [4] * 4
    assert sorted(map(str, seeds_of(dataset))) == ["3", "4", "None", "None"]
    assert info(ID)["contexts"] == 4


def test_a_shared_recording_takes_one_world_also_before_its_first_episode(refuses: Refuses) -> None:
    first = DemonstrationCollector(gym.make("LatentCtx-PointMass-v0"), ID, shared=True)
    with refuses("of another world or dataset, or others record those"):
        DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", noise_scale=0.5), ID, shared=True)
    first.close()  # nothing was recorded: the id is free for another world
    second = DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", noise_scale=0.5), ID, shared=True)
    play(second, 0)
    second.close()
    assert library.recover(finish_recording(ID)).spec.kwargs == {"noise_scale": 0.5}  # type: ignore[union-attr]


def test_collectors_that_begin_at_once_wait_for_one_another() -> None:
    world, folder = gym.spec("LatentCtx-PointMass-v0"), library.root() / f".{ID.replace('/', '-')}.recording"
    with locked(folder / "episodes"):  # as another that begins holds it
        other = threading.Thread(target=lambda: Recording(ID, world, shared=True).close())
        other.start()
        other.join(timeout=0.2)
        assert other.is_alive()
    other.join()


def test_an_agent_that_learns_in_a_vector_is_recorded() -> None:
    vector = DummyVecEnv([shared_collector] * 3)
    PPO("MlpPolicy", vector, n_steps=4, batch_size=12, n_epochs=1, device="cpu", seed=0).learn(24)
    vector.close()
    assert [len(episode.actions) for episode in finish_recording(ID)] == [4] * 6


def shared_collector() -> DemonstrationCollector:
    return DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", max_episode_steps=4), ID, shared=True)


def test_who_shares_a_recording_forgets_only_his_own_and_ends_it_alone(refuses: Refuses) -> None:
    first, second = shared_collector(), shared_collector()
    play(first, 0, steps=2)
    play(second, 1, steps=4)
    play(first, 2, steps=4)
    second.discard()
    second.discard()  # has none left
    assert first.episodes == 2
    with refuses("is being recorded already"):
        DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", max_episode_steps=4), ID)
    for makes in (first.create_dataset, lambda: finish_recording(ID)):
        with refuses("close all before the dataset is made"):
            makes()
    second.close()
    assert seeds_of(first.create_dataset()) == [0, 2]
    with refuses("no episode was recorded"):
        finish_recording("mine/nothing-v0")
    vector = gym.make_vec("LatentCtx-PointMass-v0", num_envs=2)
    with refuses("of a vector record each"):
        DemonstrationCollector(vector, "mine/vector-v0")  # type: ignore[arg-type]
    vector.close()


def test_what_the_view_does_not_say_of_the_frames_is_the_worlds() -> None:
    view, hashes = View(image_size=24, render_profile="turbo"), set()
    for name, arguments in {"mine/window-v0": {}, "mine/whole-v0": {"window": False}}.items():
        env = gym.make("LatentCtx-MetaWorld-v0", task="reach-v3", max_episode_steps=3, **arguments)
        collector = DemonstrationCollector(env, name)
        play(collector, 0)
        dataset = collector.create_dataset()
        hashes.add(identity.recorded_hash(dataset))
        frames = open_store(name, view, workers=1).frames
        assert (frames == next(replay(dataset, view, [0]))).all()  # its own, not those of the same steps
    assert len(hashes) == 1


def test_a_recording_without_a_time_limit_keeps_none_and_is_measured_with_the_usual_one() -> None:
    env = DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", max_episode_steps=-1), ID)
    play(env, 0, steps=110)
    env.create_dataset()
    for world, steps in ((library.played_in(ID), None), (library.measured_in(ID), 100)):
        made = gym.make(world.env_id, **world.env_kwargs).spec
        assert made is not None and made.max_episode_steps == steps


def test_episodes_that_minari_combined_say_that_their_contexts_are_gone(refuses: Refuses) -> None:
    for seed, name in enumerate(("mine/one-v0", "mine/two-v0")):
        env = DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", max_episode_steps=3), name)
        play(env, seed)
        env.create_dataset()
    minari.combine_datasets([load("mine/one-v0"), load("mine/two-v0")], "mine/both-v0")
    both = combine(["mine/one-v0", "mine/two-v0"], "mine/whole-v0", author="me")
    with refuses("names no contexts", "Minari's combine drops them"):
        open_store("mine/both-v0", View(image_size=16, render_profile="turbo"), workers=1)
    view = View(image_size=16, render_profile="turbo")
    parts = [open_store(f"mine/{name}-v0", view, workers=1) for name in ("one", "two", "whole")]
    assert (np.concatenate([part.frames for part in parts[:2]]) == parts[2].frames).all()
    assert (np.concatenate([part.contexts for part in parts[:2]]) == parts[2].contexts).all()
    assert seeds_of(both) == [0, 1] and identity.verify("mine/whole-v0")


def test_datasets_that_cannot_be_one_are_refused(refuses: Refuses) -> None:
    for name, arguments in {"mine/still-v0": {}, "mine/noisy-v0": {"noise_scale": 0.1}}.items():
        env = DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", **arguments), name)
        play(env, 0)
        env.create_dataset()
    with refuses("they cannot be one dataset"):
        combine(["mine/still-v0", "mine/noisy-v0"], "mine/both-v0")
    with refuses("two or more datasets"):
        combine(["mine/still-v0"], "mine/both-v0")
    with refuses("is already in"):
        combine(["mine/still-v0", "mine/still-v0"], "mine/noisy-v0")
    assert not library.is_local("mine/both-v0")


@pytest.mark.parametrize("wrong", [{"image_size": (24, 24)}, {"image_size": 0}, {"goal_visible": "no"}])
def test_views_that_are_none_are_refused(refuses: Refuses, wrong: dict[str, Any]) -> None:
    with refuses("from 1" if "image_size" in wrong else "True or False"):
        View(**wrong)
