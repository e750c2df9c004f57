"""Worlds with goals as pictures: making them, wandering about in them, and measuring who acts in them."""

from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from latentctx_agents.optim import Metrics
from latentctx_agents.pvdr.goal_venv import GoalVecEnv
from latentctx_agents.pvdr.online_config import OnlineConfig
from latentctx_agents.pvdr.replay import Replay
from latentctx_datasets.videos.play import STEPS, wander
from latentctx_envs.meta_world.goal_env import ACTION_REPEAT
from latentctx_envs.ogbench.context import TASKS

WORLD, OGBENCH = "LatentCtx-MetaWorldGoal-v0", "LatentCtx-OGBench-v0"
EVALUATION_SEED = 80_000  # of the first environment


def world_of(task: str) -> str:
    """Id of the world that has a task: OGBench's are named "visual-...", all others are Meta-World's."""
    return OGBENCH if task in TASKS else WORLD


def episode_of(task: str) -> dict[str, int]:
    """How many decisions an episode has, for rows of results; nothing where their stride tells it (Meta-World: 100 / stride)."""
    if world_of(task) == WORLD:
        return {}
    steps = gym.spec(OGBENCH).max_episode_steps
    assert steps is not None
    return {"episode_decisions": steps}


def make_envs(config: OnlineConfig, seed: int) -> DummyVecEnv:
    """The worlds side by side; see `make_env`."""
    venv = DummyVecEnv([lambda: make_env(config) for _ in range(config.envs)])
    venv.seed(seed)
    return venv


def make_env(config: OnlineConfig) -> gym.Env[Any, Any]:
    """The world, with frames and pictures of goals; longer decisions make episodes of as many fewer.

    Raises:
        ValueError: decisions of this world have one length.
    """
    world = world_of(config.task)
    shown: dict[str, Any] = {"task": config.task, "render_profile": config.render_profile}
    if world == WORLD:
        shown |= {"observation": "pixels", "goal": "pixels", "action_repeat": config.stride * ACTION_REPEAT}
        shown |= {"max_episode_steps": -(-STEPS // config.stride)}
    elif config.stride != 1:
        raise ValueError(f"decisions in {world} last one frame: pretrain with stride 1; got {config.stride}.")
    return gym.make(world, **shown)


class Films(NamedTuple):
    """Episodes of t actions."""

    frames: np.ndarray  # uint8 (e, t + 1, 64, 64, 3)
    actions: np.ndarray  # float32 (e, t, a)
    goals: np.ndarray  # uint8 (e, 64, 64, 3)
    apart: np.ndarray  # float32 (e, t), to the goal before each action [m]; nothing learns from it

    def pictures(self, every: int = 1) -> np.ndarray:
        """All frames, or one in so many of each episode, (f, 64, 64, 3)."""
        return self.frames[:, ::every].reshape(-1, *self.frames.shape[-3:])


def random_episodes(venv: VecEnv, count: int, rng: np.random.Generator) -> Films:
    """So many episodes with correlated random actions."""
    films: list[tuple[np.ndarray, ...]] = []
    shape = (venv.num_envs, *(venv.action_space.shape or ()))
    while len(films) < count:
        seen = venv.reset()
        assert isinstance(seen, dict)
        goals, film = seen["desired_goal"].copy(), [seen["observation"]]
        moves, apart, action = [], [], np.zeros(shape, np.float32)
        ended = np.zeros(venv.num_envs, bool)
        while not ended.any():
            apart.append(goal_distances(venv))
            action = wander(action, rng)
            seen, _, ended, infos = venv.step(action)
            assert isinstance(seen, dict)
            last = [
                info["terminal_observation"]["observation"] if end else frame
                for info, end, frame in zip(infos, ended, seen["observation"], strict=True)
            ]
            film.append(np.stack(last))
            moves.append(action)
        films += zip(
            np.stack(film, axis=1), np.stack(moves, axis=1), goals, np.stack(apart, axis=1), strict=True
        )
    return Films(*(np.stack(part[:count]) for part in zip(*films, strict=True)))


def goal_distances(venv: VecEnv) -> np.ndarray:
    """How far each environment is from its goal [m], float32 (b,), NaN where the world does not tell."""
    if not venv.has_attr("goal_distance"):
        return np.full(venv.num_envs, np.nan, np.float32)
    return np.array(venv.env_method("goal_distance"), np.float32)


def remember(replay: Replay, tokens: np.ndarray, actions: np.ndarray) -> None:
    """Put episodes of tokens (e, t + 1, 64) and actions (e, t, a) into a replay, before it follows environments."""
    for film, moves in zip(tokens, actions, strict=True):
        replay.begin(0, film[0])
        for action, frame in zip(moves, film[1:], strict=True):
            replay.add(0, action, frame)


class Acting(Protocol):
    """What decides; Stable-Baselines3's policies do so."""

    def predict(self, observation: Any, *, deterministic: bool) -> tuple[np.ndarray, Any]:
        """Actions (b, a), and what is not looked at."""
        ...


def measured(env: GoalVecEnv, policy: Acting, episodes: int) -> Metrics:
    """Success of a policy's mean actions, and what is left of the way at an episode's end; the environments are closed.

    Returns:
        success, distance_left (share of `image_distance`), and where the world tells it goal_distance [m], before the last
        action.
    """
    observations = env.reset()
    success, gained, finished = np.zeros(env.num_envs, bool), np.zeros(env.num_envs), []
    while len(finished) < episodes:
        actions, _ = policy.predict(observations, deterministic=True)
        apart = goal_distances(env)
        observations, _, dones, infos = env.step(actions)
        assert isinstance(observations, np.ndarray)
        success |= [bool(info["success"]) for info in infos]
        gained += [info["reward_goal"] for info in infos]
        for row in np.flatnonzero(dones):
            finished.append((success[row], 1.0 - gained[row], apart[row]))
            success[row], gained[row] = False, 0.0
    env.close()
    means = np.mean(finished[:episodes], axis=0)
    names = ("success", "distance_left", "goal_distance")
    return {name: float(value) for name, value in zip(names, means, strict=True) if not np.isnan(value)}
