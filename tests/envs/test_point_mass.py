"""The point mass: goals and splits, physics, reward, hidden context, episodes."""

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from dm_control.utils import rewards
from hypothesis import given, settings
from hypothesis import strategies as st

from latentctx_envs.point_mass.context import GOAL_LIMIT, PointMassContext, split_goals
from latentctx_envs.point_mass.task import PointMassTask, gaussian_tolerance

ID = "LatentCtx-PointMass-v0"
CENTRE = {"context": {"goal": (0.0, 0.0)}}
AUTHORS_GOALS = [(-0.131, 0.063), (-0.111, -0.280), (-0.251, -0.059), (-0.203, -0.162), (-0.083, 0.065)]


def placed(x: float, y: float) -> dict[str, Any]:
    """Reset options: at rest in (x, y), goal in the centre."""
    return {**CENTRE, "physics_state": np.array([0.0, x, y, 0.0, 0.0])}


@pytest.fixture
def env() -> Iterator[gym.Env[Any, Any]]:
    with gym.make(ID) as made:
        yield made


@pytest.fixture(scope="module")
def task() -> PointMassTask:
    return PointMassTask()


def test_first_test_goals_are_the_authors() -> None:
    assert [(round(x, 3), round(y, 3)) for x, y in split_goals("test")[:5]] == AUTHORS_GOALS


def test_splits_have_1000_and_100_different_goals() -> None:
    assert [len(set(split_goals(split))) for split in ("train", "test")] == [1000, 100]


def test_train_and_test_goals_are_disjoint() -> None:
    assert not set(split_goals("train")) & set(split_goals("test"))


def test_every_split_goal_lies_in_the_arena() -> None:
    goals = np.array(split_goals("train") + split_goals("test"))
    assert np.abs(goals).max() <= GOAL_LIMIT


@pytest.mark.parametrize("split", ["train", "test"])
def test_episodes_draw_their_goals_from_the_chosen_split(split: str) -> None:
    with gym.make(ID, context_split=split) as env:
        drawn = {env.reset(seed=seed)[1]["context"]["goal"] for seed in range(50)}
    assert drawn <= set(split_goals(split))
    assert len(drawn) > 20


def test_goals_of_split_all_fill_the_arena() -> None:
    rng = np.random.default_rng(0)
    goals = np.array([PointMassContext.sample(rng).goal for _ in range(2000)])
    assert_uniform(goals)


@settings(deadline=None, max_examples=50)
@given(st.tuples(*[st.floats(-GOAL_LIMIT, GOAL_LIMIT)] * 2))
def test_any_goal_in_the_arena_survives_its_dict_form(goal: tuple[float, float]) -> None:
    context = PointMassContext(goal=goal)
    assert PointMassContext.from_dict(context.to_dict()) == context
    assert PointMassContext.space().contains(context.as_array())


def test_compiled_model_has_the_papers_physics(task: PointMassTask) -> None:
    model = task.model
    assert model.opt.timestep == 0.05
    assert model.body("mass").mass[0] == pytest.approx(0.3)
    assert model.dof_damping.tolist() == [1.0, 1.0]
    assert model.actuator_gear[:, 0].tolist() == [0.1, 0.1]
    assert model.jnt_range.tolist() == [[-0.29, 0.29]] * 2


def test_tolerance_is_dm_controls_gaussian() -> None:
    distances = np.linspace(0.0, 0.3, 301)
    expected = rewards.tolerance(distances, bounds=(0, 0.015), margin=0.015, sigmoid="gaussian")
    np.testing.assert_allclose(gaussian_tolerance(distances, 0.015, 0.015), expected, rtol=1e-12)


def test_success_radius_is_16_millimetres(task: PointMassTask) -> None:
    distances = np.arange(0.0, 0.03, 1e-5)
    rows = np.stack([distances, *[np.zeros_like(distances)] * 3], axis=1)
    _, successes = task.judge(rows, np.zeros((len(rows), 2)))
    assert distances[successes].max() == pytest.approx(0.016, abs=1e-4)
    assert successes[: successes.sum()].all()


def test_reward_is_that_of_the_state_after_the_action(env: gym.Env[Any, Any]) -> None:
    env.reset(options=placed(0.02, 0.0))
    state, reward, *_ = env.step([1.0, 0.0])
    assert reward == pytest.approx(float(gaussian_tolerance(np.hypot(*state[:2]), 0.015, 0.015)), rel=1e-5)


def test_episode_is_truncated_after_100_steps_and_never_terminated(env: gym.Env[Any, Any]) -> None:
    env.reset(options=placed(0.0, 0.0))
    ends = [env.step([0.0, 0.0])[2:4] for _ in range(100)]
    assert ends == [(False, False)] * 99 + [(False, True)]


def test_terminal_speed_is_a_tenth_of_a_metre_a_second(env: gym.Env[Any, Any]) -> None:
    env.reset(options=placed(-0.28, 0.0))
    speeds = [env.step([1.0, 0.0])[0][2] for _ in range(60)]
    assert speeds[-1] == pytest.approx(0.1, rel=0.01)


def test_walls_hold_the_mass(env: gym.Env[Any, Any]) -> None:
    env.reset(options=placed(0.2, 0.2))
    states = np.array([env.step([1.0, 1.0])[0] for _ in range(100)])
    assert np.abs(states[:, :2]).max() < 0.295


def test_starts_are_uniform_in_the_arena_and_at_rest(env: gym.Env[Any, Any]) -> None:
    starts = np.array([env.reset(seed=seed if seed == 0 else None)[0] for seed in range(2000)])
    assert not starts[:, 2:].any()
    assert_uniform(starts[:, :2])


def test_a_seed_gives_the_same_start_with_a_drawn_or_a_pinned_goal(env: gym.Env[Any, Any]) -> None:
    assert np.array_equal(env.reset(seed=3)[0], env.reset(seed=3, options=CENTRE)[0])


def test_start_does_not_depend_on_the_goal(env: gym.Env[Any, Any]) -> None:
    goals = ((-0.2, 0.1), (0.25, 0.25))
    starts = [env.reset(seed=3, options={"context": {"goal": goal}})[0] for goal in goals]
    assert np.array_equal(*starts)


@pytest.mark.parametrize(("visible", "same"), [(False, True), (True, False)])
def test_goal_shows_in_the_pixels_only_if_made_visible(visible: bool, same: bool) -> None:
    with gym.make(ID, observation="pixels", goal_visible=visible) as env:
        frames = [env.reset(seed=3, options={"context": {"goal": g}})[0] for g in ((0.1, 0.1), (-0.1, -0.1))]
    assert np.array_equal(*frames) is same


def test_hidden_goal_never_shows_on_the_way() -> None:
    with gym.make(ID, observation="pixels", image_size=48) as one, gym.make(one.spec) as two:
        one.reset(seed=3, options={"context": {"goal": (0.1, 0.1)}})
        two.reset(seed=3, options={"context": {"goal": (-0.1, -0.1)}})
        for _ in range(20):
            assert np.array_equal(one.step([0.7, -0.7])[0], two.step([0.7, -0.7])[0])


def test_render_context_draws_the_goal_for_the_viewer_only() -> None:
    kwargs: dict[str, Any] = {"observation": "pixels", "image_size": 48, "render_mode": "rgb_array"}
    with gym.make(ID, **kwargs) as plain, gym.make(ID, render_context=True, **kwargs) as shown:
        assert np.array_equal(plain.reset(seed=0)[0], shown.reset(seed=0)[0])
        assert not np.array_equal(plain.render(), shown.render())


def test_observed_context_is_the_end_of_the_state() -> None:
    with gym.make(ID, context="observed") as env:
        observation, info = env.reset(seed=0)
    assert observation.shape == (6,)
    np.testing.assert_allclose(observation[4:], info["context"]["goal"], rtol=1e-6)


def noisy_run(seed: int, noise_scale: float) -> np.ndarray:
    with gym.make(ID, noise_scale=noise_scale) as env:
        env.reset(seed=seed, options=CENTRE)
        return np.array([env.step([0.5, 0.5])[0] for _ in range(10)])


def test_action_noise_changes_the_trajectory() -> None:
    assert not np.array_equal(noisy_run(0, 0.0), noisy_run(0, 0.5))


def test_action_noise_is_seeded() -> None:
    assert np.array_equal(noisy_run(0, 0.5), noisy_run(0, 0.5))


def test_actions_beyond_the_limits_are_clipped(env: gym.Env[Any, Any]) -> None:
    env.reset(options=placed(0.0, 0.0))
    at_limit = env.step([1.0, -1.0])[0]
    env.reset(options=placed(0.0, 0.0))
    assert np.array_equal(env.step([7.0, -7.0])[0], at_limit)


def test_action_repeat_equals_repeated_steps(env: gym.Env[Any, Any]) -> None:
    with gym.make(ID, action_repeat=4) as repeated:
        repeated.reset(options=placed(0.01, 0.02))
        env.reset(options=placed(0.01, 0.02))
        singles = [env.step([0.3, -0.9]) for _ in range(4)]
        observation, reward, *_ = repeated.step([0.3, -0.9])
    assert np.array_equal(observation, singles[-1][0])
    assert reward == pytest.approx(sum(single[1] for single in singles))


def test_success_in_the_middle_of_an_action_repeat_counts() -> None:
    with gym.make(ID, action_repeat=40) as env:
        env.reset(options=placed(-0.05, 0.0))
        observation, *_, info = env.step([1.0, 0.0])
    assert observation[0] > 0.05
    assert info["success"]


def test_terminate_on_success_ends_the_episode_at_the_goal() -> None:
    with gym.make(ID, terminate_on_success=True) as env:
        env.reset(options=placed(0.1, 0.0))
        assert env.step([0.0, 0.0])[2] is False
        env.reset(options=placed(0.0, 0.0))
        _, reward, terminated, truncated, info = env.step([0.0, 0.0])
    assert (terminated, truncated, info["success"], info["is_success"]) == (True, False, True, True)
    assert reward == 1.0


def assert_uniform(points: np.ndarray) -> None:
    """2000 points in [-0.29, 0.29]^2: within the limits, and each of 4x4 cells holds its share."""
    assert 0.99 * GOAL_LIMIT < np.abs(points).max() <= GOAL_LIMIT + 1e-6
    counts, _, _ = np.histogram2d(*points.T, bins=4, range=[[-GOAL_LIMIT, GOAL_LIMIT]] * 2)
    assert counts.min() > 80  # 125 expected, standard deviation 11
    assert counts.max() < 170
