"""Meta-World's datasets: who plays, which tasks, exact replay."""

import json
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from metaworld.policies import ENV_POLICY_MAP

from latentctx_datasets import RECIPES, Recipe, View, collect, load, recover
from latentctx_datasets.demonstrators import make_demonstrator
from latentctx_datasets.recipes.meta_world import META_WORLD, plans_of
from latentctx_datasets.replay import replay
from latentctx_envs.meta_world.context import MetaWorldContext
from latentctx_envs.meta_world.splits import TASKS, tasks_of
from latentctx_envs.rollout import rollout

pytestmark = pytest.mark.filterwarnings("ignore:Constant.s. may be too high")  # of the scripted policies
SETS = [recipe for recipe in META_WORLD if not recipe.id.startswith("latentctx/meta-world/")]
PRETRAINING = [recipe for recipe in SETS if recipe.group is None and "expert-all" not in recipe.id]
FINETUNING = [recipe for recipe in SETS if recipe.group is not None]
TWO = ("drawer-close-v3", "pick-place-v3")


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Three short episodes of two tasks whose physics states differ in size."""
    tiny = replace(
        RECIPES["latentctx/ml45/expert-small-v0"],
        id="latentctx/ml45/tiny-v0",
        env_kwargs={"tasks": list(TWO), "max_episode_steps": 8},
        plans=plans_of(TWO, 3, "train"),
    )
    monkeypatch.setitem(RECIPES, tiny.id, tiny)
    return tiny


def test_episodes_replay_and_their_frames_are_those_seen_live(recipe: Recipe) -> None:
    digest = collect.build(recipe.id)
    dataset = load(recipe.id)
    view = View(image_size=32, render_profile="turbo")
    extras = list(dataset.storage.get_episode_metadata(range(3)))
    assert {json.loads(extra["context_json"])["task"] for extra in extras} == set(TWO)
    env: Any = recover(dataset, observation=("state", "pixels"), **view.arguments())
    derived = replay(dataset, view, range(3))
    for episode, extra, frames in zip(dataset.iterate_episodes(), extras, derived, strict=True):
        options = {"context": json.loads(extra["context_json"])}
        observation, _ = env.reset(seed=int(extra["seed"]), options=options)
        seen, states = [observation], [env.unwrapped.physics_state()]
        for action in episode.actions:
            observation, *_ = env.step(action)
            seen.append(observation)
            states.append(env.unwrapped.physics_state())
        np.testing.assert_array_equal([one["state"] for one in seen], episode.observations)
        np.testing.assert_array_equal(states, episode.infos["physics_state"])
        np.testing.assert_array_equal([one["pixels"] for one in seen], frames)
    assert collect.build(recipe.id, force=True) == digest


def test_the_scripted_policy_acts_as_upstreams_that_sees_the_goal() -> None:
    policy = make_demonstrator("meta-world-scripted")
    with (
        gym.make("LatentCtx-PickPlace-v0") as env,
        gym.make("LatentCtx-PickPlace-v0", goal_visible=True) as told,
    ):
        hidden, info = env.reset(seed=4)
        shown, _ = told.reset(seed=4)
        theirs = ENV_POLICY_MAP["pick-place-v3"]()
        for _ in range(30):
            action = policy(hidden, info)
            expected = np.clip(theirs.get_action(shown.astype(np.float64)), -1.0, 1.0)
            np.testing.assert_allclose(action, expected, atol=1e-5)
            hidden, *_ = env.step(action)
            shown, *_ = told.step(action)


@pytest.mark.parametrize("task", ["pick-place-v3", "door-lock-v3", "reach-v3"])
def test_the_scripted_policy_succeeds_and_success_ends_the_episode(task: str) -> None:
    with gym.make("LatentCtx-MetaWorld-v0", task=task) as env:
        *_, last = rollout(env, make_demonstrator("meta-world-scripted"), [{"seed": 0}])
    assert last.next_info["success"] and last.terminated and last.time < 150


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_set_of_its_own(task: str) -> None:
    recipe = RECIPES[f"latentctx/meta-world/{task.removesuffix('-v3')}-expert-v0"]
    assert recipe.env_kwargs == {"task": task}
    assert next(recipe.plans()).context.to_dict()["task"] == task


@pytest.mark.parametrize("recipe", PRETRAINING, ids=lambda recipe: recipe.id)
def test_pretraining_sets_play_no_task_to_finetune_on_and_begin_alike(recipe: Recipe) -> None:
    family = recipe.id.split("/")[1]
    plans = [plan for _, plan in zip(range(5), recipe.plans(), strict=False)]
    small = RECIPES[f"latentctx/{family}/expert-small-v0"]
    assert plans == [plan for _, plan in zip(range(5), small.plans(), strict=False)]
    held_out = tasks_of(family, "test") if family != "pick-place" else ()
    for plan in plans:
        assert isinstance(plan.context, MetaWorldContext)
        assert plan.context.task not in held_out


def test_the_set_with_the_task_to_finetune_on_plays_it_at_other_places() -> None:
    plans = list(RECIPES["latentctx/door/expert-all-v0"].plans())
    tasks = [plan.context.task for plan in plans]  # type: ignore[attr-defined]
    assert set(tasks) == set(tasks_of("door", "all")) and 200 < tasks.count("door-lock-v3") < 300
    played = {plan.context for plan in plans}
    assert not any(plan.context in played for plan in RECIPES["latentctx/door/finetune-v0"].plans())


@pytest.mark.parametrize("recipe", FINETUNING, ids=lambda recipe: recipe.id)
def test_finetuning_sets_play_the_held_out_tasks_group_by_group(recipe: Recipe) -> None:
    family, size = recipe.id.split("/")[1], recipe.group
    plans = list(recipe.plans())
    assert size is not None and len(plans) == 5 * size and len({plan.seed for plan in plans}) == len(plans)
    contexts = [plan.context for plan in plans]
    assert all(isinstance(context, MetaWorldContext) for context in contexts)
    groups = [contexts[first : first + size] for first in range(0, len(plans), size)]
    tasks = [{context.task for context in group} for group in groups]  # type: ignore[attr-defined]
    assert all(len(task) == 1 for task in tasks)
    if family == "pick-place":
        assert all(context == group[0] for group in groups for context in group)
        assert len(set(contexts)) == 5
    else:
        assert set.union(*tasks) == set(tasks_of(family, "test"))
        assert all(len(set(group)) == size for group in groups)
