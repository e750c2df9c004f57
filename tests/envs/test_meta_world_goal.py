"""The goal environment: rules that are upstream's success, honest rewards, pictures of reachable goals."""

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from stable_baselines3 import SAC, HerReplayBuffer
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from latentctx_envs.checks import check_latent_env
from latentctx_envs.goal_images import image_distance
from latentctx_envs.meta_world.context import MetaWorldContext
from latentctx_envs.meta_world.goals import GOAL_RULES
from latentctx_envs.meta_world.scripted import scripted_policy, success_state

ID = "LatentCtx-MetaWorldGoal-v0"
PICTURES: dict[str, Any] = {"goal": "pixels", "observation": "pixels", "render_profile": "turbo"}
GOALS = ("achieved_goal", "desired_goal")


def solvable(task: str) -> MetaWorldContext:
    rng = np.random.default_rng(0)
    return next(
        c for c in (MetaWorldContext.of_task(task, rng) for _ in range(20)) if success_state(c) is not None
    )


@pytest.mark.parametrize("task", GOAL_RULES)
def test_a_rule_is_upstreams_success_at_every_step_of_a_demonstration(task: str) -> None:
    with gym.make(ID, task=task, action_repeat=1, max_episode_steps=400, goal_visible=True) as env:
        observation, _ = env.reset(seed=0, options={"context": solvable(task)})
        act, judged = scripted_policy(task), []
        for _ in range(120):
            observation, reward, _, _, info = env.step(act(observation["observation"].astype(np.float64)))
            judged.append((reward == 0.0, info["success"]))
    rewarded, succeeded = zip(*judged, strict=True)
    assert rewarded == succeeded
    assert True in succeeded and False in succeeded


@pytest.mark.parametrize("kwargs", [{"goal": "state"}, {"goal": "state", "reward": "dense"}, PICTURES])
def test_the_reward_of_a_step_is_compute_reward_of_its_goals_alone_and_in_a_batch(
    kwargs: dict[str, Any],
) -> None:
    with gym.make(ID, **kwargs) as env:
        base: Any = env.unwrapped
        env.reset(seed=0)
        env.action_space.seed(0)
        steps = [env.step(env.action_space.sample()) for _ in range(5)]
    rewards = [step[1] for step in steps]
    achieved, desired = (np.stack([step[0][key] for step in steps]) for key in GOALS)
    assert base.compute_reward(achieved, desired, [step[4] for step in steps]).tolist() == rewards


def test_the_goal_is_so_many_metres_away_whatever_goals_are() -> None:
    places, pictures = (
        gym.make("LatentCtx-MetaWorldGoal-v0", task="push-v3", goal=goal, observation="state")
        for goal in ("state", "pixels")
    )
    places.reset(seed=3), pictures.reset(seed=3)
    ask = [env.get_wrapper_attr("goal_distance") for env in (places, pictures)]
    assert ask[0]() == ask[1]() > 0.05
    for _ in range(5):
        seen, *_ = places.step(np.array([1.0, 0.5, -1.0, 0.0], np.float32))
    assert ask[0]() == pytest.approx(np.linalg.norm(seen["achieved_goal"] - seen["desired_goal"]))
    plain = gym.make("LatentCtx-MetaWorldGoal-v0", task="assembly-v3", goal="pixels")
    plain.reset(seed=0)
    assert np.isnan(plain.get_wrapper_attr("goal_distance")())
    for env in (places, pictures, plain):
        env.close()


@pytest.mark.parametrize("kwargs", [{}, {"observation": "pixels", "render_profile": "turbo"}, PICTURES])
def test_both_checkers_and_the_contract_accept_it(kwargs: dict[str, Any]) -> None:
    with gym.make(ID, **kwargs) as env:
        sb3_check_env(env.unwrapped, warn=False)
    if "observation" not in kwargs:  # pictures have no observed context
        check_latent_env(ID, **kwargs)


def test_the_goal_is_in_the_desired_goal_alone() -> None:
    goals = [(-0.1, 0.8, 0.1), (0.1, 0.85, 0.2)]
    with gym.make(ID) as env:
        seen = [
            env.reset(seed=1, options={"context": {"task": "reach-v3", "vector": (0.0, 0.65, 0.02, *goal)}})[
                0
            ]
            for goal in goals
        ]
    for goal, observation in zip(goals, seen, strict=True):
        assert np.allclose(observation["desired_goal"], goal)
    assert np.array_equal(seen[0]["observation"], seen[1]["observation"])
    assert np.array_equal(seen[0]["achieved_goal"], seen[1]["achieved_goal"])


def test_a_goal_picture_is_the_frame_of_the_demonstrations_end() -> None:
    context = solvable("push-v3")
    with gym.make(ID, task="push-v3", **PICTURES) as env:
        base: Any = env.unwrapped
        observation, _ = env.reset(seed=0, options={"context": context})
        other, _ = env.reset(seed=1, options={"context": context})
        expected = base.frame(success_state(context), context)
    assert np.array_equal(observation["desired_goal"], expected)
    assert np.array_equal(other["desired_goal"], expected)
    assert not np.array_equal(observation["achieved_goal"], expected)


def test_asking_for_the_goal_picture_leaves_the_episode_as_it_was() -> None:
    def episode(asks: bool) -> list[Any]:
        with gym.make(ID, task="push-v3", render_profile="turbo") as env:
            base: Any = env.unwrapped
            steps: list[Any] = [env.reset(seed=4, options={"context": solvable("push-v3")})]
            env.action_space.seed(0)
            for number in range(12):
                if asks and number in (0, 6):
                    base.goal_image()
                steps.append(env.step(env.action_space.sample()))
        return steps

    assert data_equivalence(episode(False), episode(True), exact=True)


def test_picture_distance_falls_along_a_demonstration() -> None:
    context = solvable("reach-v3")
    with gym.make(
        ID, **PICTURES, hand_jitter=0.0, opening_action=False, action_repeat=1, goal_visible=True
    ) as env:
        base: Any = env.unwrapped
        env.reset(seed=0, options={"context": context})
        act, rewards = scripted_policy("reach-v3"), []
        for _ in range(60):
            rewards.append(env.step(act(base._now))[1])
    assert rewards[-1] > 0.5 * rewards[0] and np.all(np.diff(rewards[::10]) > 0)


def test_a_copy_made_by_pickle_goes_on_with_the_same_goal() -> None:
    with gym.make(ID, **PICTURES) as env:
        env.reset(seed=2)
        with pickle.loads(pickle.dumps(env)) as copy:
            env.action_space.seed(0)
            action = env.action_space.sample()
            assert data_equivalence(env.step(action), copy.step(action), exact=True)


def test_hindsight_replay_buffers_take_it() -> None:
    with gym.make(ID) as env:
        model = SAC(
            "MultiInputPolicy",
            env,
            replay_buffer_class=HerReplayBuffer,
            learning_starts=100,
            policy_kwargs={"net_arch": [16]},
            device="cpu",
            seed=0,
        )
        model.learn(130)
    batch = model.replay_buffer.sample(64)
    assert (batch.rewards == 0).any()  # relabelled goals are reached


def test_distance_of_pictures_is_the_mean_square_of_differing_blocks() -> None:
    black = np.zeros((2, 64, 64, 3), np.uint8)
    spotted = black.copy()
    spotted[1, :8, :8] = 255
    assert image_distance(black, spotted).tolist() == [0.0, 1 / 64]
    channels_first = [np.moveaxis(picture, -1, -3) for picture in (black, spotted)]
    assert image_distance(*channels_first).tolist() == [0.0, 1 / 64]
    with pytest.raises(ValueError, match="of one shape"):
        image_distance(black, spotted[0])
    assert image_distance(np.zeros((9, 9, 3), np.uint8), np.full((9, 9, 3), 255, np.uint8)) == 1.0
    with pytest.raises(ValueError, match="got float64"):
        image_distance(black / 255.0, spotted / 255.0)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"task": "hammer-v3"}, "goals of 'state' exist for"),
    ({"goal": "pixels", "reward": "sparse"}, "picture goals have no radius"),
    ({"goal": "picture"}, "goal is 'state' or 'pixels'"),
    ({"observation": ("state", "pixels")}, "one array"),
    ({"camera_position": (0.0, 1.0)}, "three finite numbers"),
]


@pytest.mark.parametrize(("kwargs", "words"), REFUSED)
def test_bad_arguments_are_refused_in_words(kwargs: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        gym.make(ID, **kwargs)


def test_a_context_that_the_demonstrator_does_not_solve_has_no_picture() -> None:
    rng = np.random.default_rng(0)
    drawn = (MetaWorldContext.of_task("box-close-v3", rng) for _ in range(40))
    hard = next(context for context in drawn if success_state(context) is None)
    with gym.make(ID, task="box-close-v3", **PICTURES) as env:
        with pytest.raises(ValueError, match="no picture of this goal"):
            env.reset(options={"context": hard})
        assert all(
            success_state(MetaWorldContext.coerce(env.reset(seed=seed)[1]["context"])) is not None
            for seed in range(3)
        )


@pytest.mark.parametrize("repeat", [2, 3])
def test_the_demonstration_is_a_film_that_ends_at_the_goal(repeat):
    settings = {"observation": "pixels", "goal": "pixels", "render_profile": "turbo", "action_repeat": repeat}
    env = gym.make("LatentCtx-MetaWorldGoal-v0", task="drawer-close-v3", **settings)
    seen, _ = env.reset(seed=3)
    action = np.ones(4, np.float32)
    before = env.step(action)[0]["observation"]
    film = env.unwrapped.demonstration()
    after = env.step(action)[0]["observation"]
    assert film.dtype == np.uint8 and film.shape[1:] == seen["observation"].shape
    assert np.array_equal(film[-1], seen["desired_goal"])
    assert not np.array_equal(film[0], film[-1])
    # the film begins where an episode does: a step from its first frame, far from the goal's
    assert image_distance(film[0], seen["observation"]) < 0.2 * image_distance(film[-1], seen["observation"])
    env.reset(seed=3)
    assert np.array_equal(env.step(action)[0]["observation"], before)
    assert np.array_equal(env.step(action)[0]["observation"], after)  # the film did not touch the episode
    env.close()
    fresh = gym.make("LatentCtx-MetaWorldGoal-v0", task="drawer-close-v3", **settings)
    with pytest.raises(RuntimeError):
        fresh.unwrapped.demonstration()
    fresh.close()
