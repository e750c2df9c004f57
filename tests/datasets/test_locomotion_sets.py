"""The datasets of cheetah and walker: plans, players, episodes that depend on nothing but their plan."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import gymnasium as gym
import minari
import numpy as np
import pytest
from safetensors.numpy import save_file

from latentctx_datasets import (
    RECIPES,
    DatasetError,
    Recipe,
    View,
    collect,
    copies,
    library,
    load,
    open_store,
    recover,
)
from latentctx_datasets.demonstrators import locomotion
from latentctx_datasets.recipes import Plan
from latentctx_datasets.recipes.locomotion import replay_plans
from latentctx_envs.locomotion.context import CheetahContext, WalkerContext

LOCOMOTION = [name for name in RECIPES if name.startswith(("latentctx/cheetah/", "latentctx/walker/"))]


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of trained demonstrators, empty."""
    monkeypatch.setattr(locomotion, "WEIGHTS", tmp_path)
    return tmp_path


def write_snapshots(path: Path, count: int, inputs: int) -> None:
    """A file of snapshots of one training: random networks of three neurons."""
    rng = np.random.default_rng(0)
    shapes = {"mean": (inputs,), "hidden0.weight": (3, inputs), "hidden0.bias": (3,)}
    shapes |= {"hidden1.weight": (3, 3), "hidden1.bias": (3,), "action.weight": (6, 3), "action.bias": (6,)}
    tensors = {name: rng.normal(size=(count, *shape)) for name, shape in shapes.items()}
    tensors["std"] = np.ones((count, inputs))
    save_file({name: tensor.astype(np.float16) for name, tensor in tensors.items()}, path)


def test_a_built_dataset_makes_the_world_with_the_recipes_settings(
    walker: str, walker_recipe: Recipe
) -> None:
    dataset = minari.load_dataset(walker)
    assert (len(dataset), dataset.total_steps) == (3, 18)
    spec = gym.make(walker_recipe.env_id, **walker_recipe.env_kwargs).spec
    for evaluation in (False, True):
        for env in (dataset.recover_environment(eval_env=evaluation), recover(dataset, eval_env=evaluation)):
            assert env.spec == spec
            assert (env.spec.max_episode_steps, env.unwrapped.settings.action_repeat) == (6, 2)
            assert env.observation_space == dataset.observation_space


def test_episodes_of_a_vector_replay_in_the_recovered_environment_to_the_bit(walker: str) -> None:
    dataset = load(walker)
    env: Any = recover(dataset)
    extras = dataset.storage.get_episode_metadata(dataset.episode_indices)
    for episode, extra in zip(dataset.iterate_episodes(), extras, strict=True):
        options = {"context": json.loads(extra["context_json"])}
        observation, _ = env.reset(seed=extra["seed"], options=options)
        seen, states, rewards, ends = [observation], [env.unwrapped.physics_state()], [], []
        for action in episode.actions:
            observation, reward, _, truncated, _ = env.step(action)
            seen.append(observation)
            states.append(env.unwrapped.physics_state())
            rewards.append(reward)
            ends.append(truncated)
        np.testing.assert_array_equal(np.stack(seen), episode.observations)
        np.testing.assert_array_equal(np.stack(states), episode.infos["physics_state"])
        np.testing.assert_array_equal(rewards, episode.rewards)
        np.testing.assert_array_equal(ends, episode.truncations)


def test_every_episode_names_its_task_and_its_player(walker: str) -> None:
    extras = list(load(walker).storage.get_episode_metadata(range(3)))
    assert [json.loads(extra["context_json"])["task"] for extra in extras] == ["walk", "walk", "stand"]
    assert {extra["demonstrator"] for extra in extras} == {"random"}


def test_an_episode_does_not_depend_on_those_played_beside_it(walker: str, walker_recipe: Recipe) -> None:
    ((alone, _),) = collect.play(walker_recipe, list(walker_recipe.plans())[1:2])
    beside = load(walker)[1]
    np.testing.assert_array_equal(np.asarray(alone.actions), beside.actions)
    assert alone.infos is not None
    np.testing.assert_array_equal(alone.infos["physics_state"], beside.infos["physics_state"])


def test_an_episode_in_the_world_of_all_tasks_is_that_of_its_tasks_own_world(
    walker: str, walker_recipe: Recipe
) -> None:
    recipe = replace(walker_recipe, env_id="LatentCtx-WalkerWalk-v0")
    for number, (own, _) in enumerate(collect.play(recipe, list(walker_recipe.plans())[:2])):
        np.testing.assert_array_equal(np.asarray(own.observations), load(walker)[number].observations)
        np.testing.assert_array_equal(own.rewards, load(walker)[number].rewards)


def test_neighbours_of_one_player_are_played_together_but_not_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collect, "BATCH", 3)
    context = CheetahContext(task="run")
    players = ["random"] * 4 + [None] * 2 + ["random"]
    plans = [
        Plan(context=context, seed=i, split="all", demonstrator=who, snapshot=snapshot)
        for i, (who, snapshot) in enumerate(zip(players, [None] * 5 + [1] + [None], strict=True))
    ]
    parts = list(collect.batches(plans))
    assert [len(part) for part in parts] == [3, 1, 1, 1, 1]
    assert [plan for part in parts for plan in part] == plans


def test_datasets_have_a_thousand_episodes_and_no_seed_of_a_world_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("latentctx_datasets.recipes.locomotion.snapshot_count", lambda name: 20)
    plans = {name: list(RECIPES[name].plans()) for name in LOCOMOTION}
    mixes = [plans.pop(f"latentctx/walker/{name}-v0") for name in ("mix", "noisy-mix")]
    assert {len(episodes) for episodes in plans.values()} == {1000}
    for body in ("cheetah", "walker"):
        seeds = [plan.seed for name, part in plans.items() if f"/{body}/" in name for plan in part]
        assert len(set(seeds)) == len(seeds)
    for mix, replay in zip(mixes, ("replay", "noisy-replay"), strict=True):
        parts = ("random", f"stand-{replay}", f"walk-{replay}")
        assert mix == [plan for part in parts for plan in plans[f"latentctx/walker/{part}-v0"]]


@pytest.mark.parametrize("count", [1, 7, 20])
def test_replay_plays_all_snapshots_in_order_and_equally_often(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latentctx_datasets.recipes.locomotion.snapshot_count", lambda name: count)
    plans = replay_plans(CheetahContext(task="flip"), "cheetah-flip-ppo")()
    assert [plan.snapshot for plan in plans] == [i * count // 1000 for i in range(1000)]


@pytest.mark.parametrize("who", ["expert", "replay"])
def test_noise_is_that_of_the_episodes_seed_and_stays_within_the_action_space(
    who: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_snapshots(weights / "walker-walk-ppo.safetensors", 2, 24)
    recipe = replace(RECIPES[f"latentctx/walker/walk-noisy-{who}-v0"], env_kwargs={"max_episode_steps": 5})
    plans = list(itertools.islice(recipe.plans(), 2))
    (one, _), (other, _) = collect.play(recipe, plans)
    ((alone, _),) = collect.play(recipe, plans[1:])
    np.testing.assert_array_equal(np.asarray(alone.actions), np.asarray(other.actions))
    for buffer in (one, other):
        policy = locomotion.TrainedPolicy("walker-walk", -1 if who == "expert" else 0)
        intended = policy(np.asarray(buffer.observations)[:-1], {})
        executed = np.asarray(buffer.actions)
        free = np.abs(executed) < 1.0
        assert np.abs(executed).max() <= 1.0 and (executed != intended)[free].all()
    assert (np.asarray(one.actions) != np.asarray(other.actions)).any()


@pytest.mark.parametrize("name", LOCOMOTION)
def test_a_plans_task_is_that_of_the_world_and_its_player_is_one_of_the_recipes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latentctx_datasets.recipes.locomotion.snapshot_count", lambda name: 20)
    recipe = RECIPES[name]
    task = gym.spec(recipe.env_id).kwargs.get("task")
    for plan in recipe.plans():
        assert task is None or plan.context == type(plan.context)(task=task)  # type: ignore[call-arg]
        assert plan.demonstrator is None or plan.demonstrator in recipe.demonstrators
    assert recipe.env_kwargs["action_repeat"] * recipe.env_kwargs["max_episode_steps"] == 1000


@pytest.mark.parametrize("name", [name for name in LOCOMOTION if not name.endswith("/random-v0")])
def test_an_untrained_demonstrator_is_refused_with_the_command_that_trains_it(
    name: str, weights: Path, refuses: Callable[..., Any]
) -> None:
    missing = next(who for who in RECIPES[name].demonstrators if who != "random")
    with refuses(f"latentctx demonstrator train {missing.partition('-ppo')[0]}"):
        collect.build(name)
    assert not library.root().exists()  # nothing was begun


def test_snapshots_play_the_episodes_that_their_plans_name(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_snapshots(weights / "walker-walk-ppo.safetensors", 2, 24)
    monkeypatch.setattr("latentctx_datasets.recipes.locomotion.EPISODES", 4)
    plans = replay_plans(WalkerContext(task="walk"), "walker-walk-ppo")
    recipe = replace(
        RECIPES["latentctx/walker/walk-replay-v0"],
        id="latentctx/walker/tiny-replay-v0",
        env_kwargs={"max_episode_steps": 5},
        plans=plans,
    )
    monkeypatch.setitem(RECIPES, recipe.id, recipe)
    digest = collect.build(recipe.id)
    dataset = load(recipe.id)
    extras = list(dataset.storage.get_episode_metadata(range(4)))
    assert [(e["demonstrator"], e["snapshot"]) for e in extras] == [
        ("walker-walk-ppo", snapshot) for snapshot in (0, 0, 1, 1)
    ]
    for episode, extra in zip(dataset.iterate_episodes(), extras, strict=True):
        policy = locomotion.TrainedPolicy("walker-walk", int(extra["snapshot"]))
        np.testing.assert_array_equal(policy(episode.observations[:-1], {}), episode.actions)
    assert dataset.storage.metadata["ref_max_score"] == 1000.0
    assert collect.build(recipe.id, force=True) == digest


def test_an_experts_reference_score_is_its_mean_return(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_snapshots(weights / "cheetah-flip-ppo.safetensors", 1, 17)
    expert = RECIPES["latentctx/cheetah/flip-expert-v0"]
    name = "latentctx/cheetah/tiny-expert-v0"
    some = replace(
        expert,
        id=name,
        env_kwargs={"max_episode_steps": 9},
        plans=lambda: itertools.islice(expert.plans(), 3),
    )
    monkeypatch.setitem(RECIPES, name, some)
    collect.build(name)
    returns = [episode.rewards.sum() for episode in load(name).iterate_episodes()]
    assert load(name).storage.metadata["ref_max_score"] == pytest.approx(np.mean(returns))


def test_a_store_of_the_walker_holds_frames_rewards_and_tasks(walker: str, tiny_view: View) -> None:
    store = open_store(walker, tiny_view, workers=1)
    assert store.frames.shape == (21, 12, 12, 3)
    assert len(np.unique(store.frames.reshape(21, -1), axis=0)) > 18  # it falls
    for start, episode in zip(store.starts, load(walker), strict=True):
        np.testing.assert_array_equal(store.rewards[start : start + 6], episode.rewards.astype(np.float32))
    assert (store.contexts.argmax(axis=1) == [1, 1, 0]).all()


def test_a_context_that_nothing_shows_is_not_drawn(walker: str, refuses: Callable[..., Any]) -> None:
    with refuses("goal_visible=True", "nothing that shows its context", error=DatasetError):
        open_store(walker, View(image_size=8, goal_visible=True), workers=1)


def test_an_export_of_the_walker_holds_its_players(walker: str) -> None:
    target = copies.export_pixels(walker, pixels=8, profile="turbo")
    exported = minari.load_dataset(target)
    assert exported[0].observations.shape == (7, 8, 8, 3)
    (extra,) = exported.storage.get_episode_metadata([2])
    assert extra["demonstrator"] == "random"
    assert exported.recover_environment().observation_space == exported.observation_space


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "expected"), [("cheetah", "1eefc35bc95b679e"), ("walker", "c750034f40979092")]
)
def test_the_first_random_episodes_are_those_of_the_cards(body: str, expected: str) -> None:
    """A change of the physics or of the draws, which would make the cards wrong, shows in two episodes already."""
    recipe = RECIPES[f"latentctx/{body}/random-v0"]
    digest = sha256()
    for buffer, _ in collect.play(recipe, list(itertools.islice(recipe.plans(), 2))):
        assert buffer.infos is not None
        digest.update(np.ascontiguousarray(buffer.infos["physics_state"]).tobytes())
    assert digest.hexdigest()[:16] == expected
