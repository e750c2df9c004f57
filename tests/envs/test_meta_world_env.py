"""The Meta-World worlds: hidden goals, honest seeds, the authors' picture, exact replay."""

import copy
import json
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from latentctx_envs.meta_world import make_sawyer
from latentctx_envs.meta_world.context import MetaWorldContext
from latentctx_envs.meta_world.env import authors_window
from latentctx_envs.meta_world.scripted import scripted_policy, success_state
from latentctx_envs.meta_world.splits import TASK_SETS, TASKS, TWICE
from latentctx_envs.rendering import Renderer

KINDS = ("state", "position", "pixels")
# a free object, bodies that move in the model, joints that the hand meets, two objects, a reward that remembers
FIVE = ("pick-place-v3", "drawer-open-v3", "door-lock-v3", "hammer-v3", "bin-picking-v3")


def context(task: str, seed: int = 0) -> MetaWorldContext:
    return MetaWorldContext.of_task(task, np.random.default_rng(seed))


def pick_place(goal: tuple[float, float, float]) -> dict[str, Any]:
    return {"task": "pick-place-v3", "vector": (0.02, 0.65, 0.02, *goal)}


def test_a_hidden_goal_shows_in_no_observation_and_a_visible_one_in_each() -> None:
    goals = pick_place((-0.1, 0.8, 0.1)), pick_place((0.1, 0.88, 0.25))
    for visible in (False, True):
        with gym.make("LatentCtx-PickPlace-v0", observation=KINDS, goal_visible=visible) as env:
            (one, _), (two, _) = (env.reset(seed=3, options={"context": goal}) for goal in goals)
        assert [np.array_equal(one[kind], two[kind]) for kind in KINDS] == [not visible] * 3
        assert one["position"].shape == ((21,) if visible else (18,))
        assert np.any(one["state"][36:]) == visible


def test_position_is_hand_goal_and_objects_of_the_state() -> None:
    with gym.make("LatentCtx-Door-v0", observation=("state", "position")) as env:
        observation, _ = env.reset(seed=0)
    state = observation["state"]
    expected = np.concatenate([state[:4], state[36:], state[4:18]])
    assert np.array_equal(observation["position"], expected)


def test_the_observed_goal_is_upstreams() -> None:
    wanted = context("drawer-open-v3")
    with gym.make(
        "LatentCtx-MetaWorld-v0", task="drawer-open-v3", hand_jitter=0.0, opening_action=False
    ) as env:
        state, _ = env.reset(seed=0, options={"context": wanted})
    sawyer = make_sawyer("drawer-open-v3")
    expected, _ = sawyer.reset(rand_vec=np.array(wanted.vector))
    assert np.array_equal(state, expected.astype(np.float32))


def test_pixels_are_the_authors_window_of_the_whole_picture() -> None:
    with gym.make("LatentCtx-PickPlace-v0", observation="pixels", render_profile="reference") as env:
        frame, _ = env.reset(seed=1)
        base: Any = env.unwrapped
        engine = base._engine
        whole = Renderer(
            engine.model, size=(240, 320), camera="corner2", profile="reference", hidden_sites=("goal",)
        ).render(engine.data)
    expected = whole[::-1][80:200, 80:200].astype(int)
    assert frame.shape == (120, 120, 3)
    assert np.abs(frame - expected).max() <= 1 and np.mean(frame != expected) < 1e-3


def test_a_smaller_picture_shows_the_same_window() -> None:
    sawyer = make_sawyer("reach-v3")
    sawyer.reset(seed=0)
    kwargs: dict[str, Any] = {"camera": "corner2", "profile": "turbo", "window": authors_window()}
    large = Renderer(sawyer.model, size=(120, 120), **kwargs).render(sawyer.data)
    small = Renderer(sawyer.model, size=(60, 60), **kwargs).render(sawyer.data)
    shrunk = large.reshape(60, 2, 60, 2, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - small).mean() < 4.0


def test_hand_starts_within_its_cube_and_elsewhere_every_time() -> None:
    with gym.make("LatentCtx-PickPlace-v0", opening_action=False) as env:
        hands = np.array([env.reset(seed=seed)[0][:3] for seed in range(12)])
    with gym.make("LatentCtx-PickPlace-v0", opening_action=False, hand_jitter=0.0) as env:
        usual = env.reset(seed=0)[0][:3]
    assert (np.abs(hands - usual) < 0.06).all() and (np.ptp(hands, axis=0) > 0.03).all()


def test_a_frozen_goal_stays_and_others_are_drawn_anew() -> None:
    for frozen in (False, True):
        with gym.make("LatentCtx-PickPlace-v0", frozen_goal=frozen) as env:
            seen = {str(env.reset(seed=7 if number == 0 else None)[1]["context"]) for number in range(4)}
        assert len(seen) == (1 if frozen else 4)


def test_splits_are_tasks_and_sets_have_unique_names() -> None:
    assert len(TASKS) == len(set(TASKS)) == 50
    for train, test in TASK_SETS.values():
        assert not set(train) & set(test)
        assert len(set(train)) == len(train) and set(train) | set(test) <= set(TASKS)
    assert [len(part) for part in TASK_SETS["ml45"]] == [45, 5]
    for split, tasks in zip(("train", "test"), TASK_SETS["door"], strict=True):
        with gym.make("LatentCtx-Door-v0", context_split=split) as env:
            drawn = {env.reset(seed=seed)[1]["context"]["task"] for seed in range(8)}
        assert drawn <= set(tasks)


def test_tasks_of_the_authors_list_twice_are_drawn_twice_as_often() -> None:
    tasks = [TWICE[0], "drawer-open-v3"]
    with gym.make("LatentCtx-MetaWorld-v0", tasks=tasks, twice=True) as env:
        base: Any = env.unwrapped
        rng = np.random.default_rng(0)
        share = np.mean([base.draw_context(rng).task == TWICE[0] for _ in range(300)])
    assert 0.58 < share < 0.75


@pytest.mark.parametrize("task", FIVE)
def test_an_episode_replays_to_the_bit_and_its_frames_are_those_seen_live(task: str) -> None:
    kwargs = {"task": task, "observation": ("state", "pixels"), "image_size": 40, "render_profile": "turbo"}
    runs = []
    for _ in range(2):
        with gym.make("LatentCtx-MetaWorld-v0", **kwargs) as env:
            base: Any = env.unwrapped
            env.action_space.seed(1)
            observation, info = env.reset(seed=5)
            trace = [(observation, base.physics_state())]
            for _ in range(12):
                observation, *_ = env.step(env.action_space.sample())
                trace.append((observation, base.physics_state()))
            stored = json.loads(json.dumps(info["context"]))
            other = base.draw_context(np.random.default_rng(9))
            for seen, state in reversed(trace):
                assert np.array_equal(base.frame(state, stored), seen["pixels"])
            base.frame(base.physics_state(), other)  # moves the bodies
            assert np.array_equal(base.frame(trace[-1][1], stored), trace[-1][0]["pixels"])
            runs.append(trace)
    assert data_equivalence(*runs, exact=True)


@pytest.mark.parametrize("task", FIVE)
def test_a_restored_state_goes_on_to_the_bit(task: str) -> None:
    action = np.array([0.5, 1.0, -0.4, 0.8], np.float32)
    with gym.make("LatentCtx-MetaWorld-v0", task=task) as env:
        base: Any = env.unwrapped
        _, info = env.reset(seed=2)
        for _ in range(10):
            env.step(action)
        state = base.physics_state()
        expected = [env.step(action)[:2] for _ in range(5)]
        options = {"context": info["context"], "physics_state": state}
        env.reset(seed=8, options=options)
        found = [env.step(action)[0] for _ in range(5)]
        env.reset(seed=2, options=options)  # rewards look back at where the hand began
        rewards = [env.step(action)[1] for _ in range(5)]
    np.testing.assert_array_equal(found, [shown for shown, _ in expected])
    assert rewards == [reward for _, reward in expected]


@pytest.mark.parametrize("task", ["reach-v3", "plate-slide-v3"])
def test_a_restored_state_that_is_done_says_so(task: str) -> None:
    with gym.make("LatentCtx-MetaWorld-v0", task=task) as env:
        context, state = None, None
        while state is None:
            context = env.reset()[1]["context"]
            state = success_state(MetaWorldContext.coerce(context))
        _, info = env.reset(seed=1, options={"context": context, "physics_state": state})
        assert info["success"] and info["is_success"]
        assert not env.reset(seed=1, options={"context": context})[1]["success"]


def test_the_authors_camera_is_the_same_by_name_and_by_index() -> None:
    pictures = []
    for camera in ("corner2", 2):
        for world in ("LatentCtx-MetaWorld-v0", "LatentCtx-MetaWorldGoal-v0"):
            settings = {
                "task": "push-v3",
                "observation": "pixels",
                "image_size": 40,
                "render_profile": "turbo",
            }
            with gym.make(world, camera=camera, **settings) as env:
                seen = env.reset(seed=0)[0]
                pictures.append(seen["observation"] if isinstance(seen, dict) else seen)
    np.testing.assert_array_equal(pictures[0], pictures[2])
    np.testing.assert_array_equal(pictures[1], pictures[3])


def test_a_camera_stands_elsewhere_by_name_and_by_index() -> None:
    pictures = []
    for camera, position in (("corner", (0.3, 0.3, 1.0)), (1, (0.3, 0.3, 1.0)), (1, None)):
        shown = {"observation": "pixels", "image_size": 24, "render_profile": "turbo"}
        with gym.make(
            "LatentCtx-MetaWorld-v0", task="push-v3", camera=camera, camera_position=position, **shown
        ) as env:
            pictures.append(env.reset(seed=0)[0])
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[1], pictures[2])


def test_a_camera_that_is_not_there_is_refused_wherever_it_is_to_stand(refuses: Any) -> None:
    with refuses("camera"):
        gym.make("LatentCtx-MetaWorld-v0", task="push-v3", camera="nowhere", camera_position=(0.0, 0.0, 1.0))


def test_a_pickled_environment_goes_on_alike_in_another_task() -> None:
    with gym.make("LatentCtx-MetaWorld-v0", tasks=["reach-v3", "door-open-v3"], observation=KINDS) as env:
        env.reset(seed=1)
        action = np.full(4, 0.5, np.float32)
        env.step(action)
        with pickle.loads(pickle.dumps(env)) as twin:
            for _ in range(3):
                assert data_equivalence(env.step(action), twin.step(action), exact=True)
            assert data_equivalence(env.reset(), twin.reset(), exact=True)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"task": "fly-v3"}, ("fly-v3",)),
        ({"task": "reach-v3", "tasks": "door"}, ("not both",)),
        ({"tasks": "ml1"}, ("ml45", "ml1")),
        ({"tasks": []}, ("tasks must be",)),
        ({"hand_jitter": 1.0}, ("hand_jitter", "0.1")),
        ({"camera": "nowhere"}, ("camera", "nowhere")),
    ],
)
def test_what_does_not_exist_is_refused(kwargs: dict[str, Any], words: tuple[str, ...], refuses: Any) -> None:
    with refuses(*words):
        gym.make("LatentCtx-MetaWorld-v0", **kwargs)


def test_contexts_of_other_tasks_and_out_of_bounds_are_refused(refuses: Any) -> None:
    with gym.make("LatentCtx-PickPlace-v0") as env:
        env.reset(seed=0)
        with refuses("pick-place-v3", "reach-v3"):
            env.reset(options={"context": context("reach-v3")})
        with refuses("lies between"):
            env.reset(options={"context": pick_place((0.0, 5.0, 0.1))})
        with refuses("three or six"):
            env.reset(options={"context": {"task": "pick-place-v3", "vector": [1.0]}})


def test_an_array_of_a_context_holds_task_and_vector() -> None:
    drawn = context("pick-place-v3")
    array = drawn.as_array()
    assert TASKS[int(array[:50].argmax())] == "pick-place-v3" and array[:50].sum() == 1.0
    np.testing.assert_allclose(array[50:], drawn.vector, rtol=1e-6)
    assert MetaWorldContext.space().contains(array)


def test_renderers_of_tasks_that_were_not_seen_lately_are_closed_and_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("latentctx_envs.meta_world.env.LIVE_RENDERERS", 2)
    pixels = {"observation": "pixels", "image_size": 24, "render_profile": "turbo"}
    with gym.make("LatentCtx-MetaWorld-v0", tasks=list(FIVE[:3]), **pixels) as env:
        base: Any = env.unwrapped
        frames = [env.reset(seed=1, options={"context": context(task)})[0] for task in (*FIVE[:3], FIVE[0])]
        assert [task for task, _ in base._renderers] == [FIVE[2], FIVE[0]]
    assert np.array_equal(frames[0], frames[3])
    assert not np.array_equal(frames[0], frames[1])


def test_a_seed_repeats_also_where_the_goal_is_frozen() -> None:
    with gym.make("LatentCtx-PickPlace-v0", frozen_goal=True) as env:
        first, again = env.reset(seed=3), env.reset(seed=3)
        assert data_equivalence(first, again, exact=True)


def test_a_copy_of_a_running_episode_keeps_what_the_reward_has_noted() -> None:
    """Bin-picking's reward counts from where the puck was first lifted."""
    policy = scripted_policy("bin-picking-v3")
    with gym.make("LatentCtx-MetaWorld-v0", task="bin-picking-v3") as env:
        observation, _ = env.reset(seed=3)
        for _ in range(120):
            observation, *_ = env.step(policy(observation.astype(float)))
        action = policy(observation.astype(float))
        copies = copy.deepcopy(env), pickle.loads(pickle.dumps(env))
        _, reward, *_ = env.step(action)
        for other in copies:
            assert other.step(action)[1] == reward


def test_tasks_by_name_have_no_splits_and_doors_take_one_task(refuses: Any) -> None:
    with refuses("context_split must be all", "'test'"):
        gym.make("LatentCtx-MetaWorld-v0", tasks=["door-lock-v3", "door-open-v3"], context_split="test")
    with gym.make("LatentCtx-Door-v0", task="door-open-v3") as env:
        assert env.reset(seed=0)[1]["context"]["task"] == "door-open-v3"
