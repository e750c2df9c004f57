"""Acting with a finished agent, in the world of its training or with another task of the same body."""

import functools
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from gymnasium import spaces

from latentctx_agents.model_folder import weights_hash
from latentctx_agents.pvdr.agent import GoalAgent, GoalPolicy
from latentctx_agents.pvdr.folder import videos_of
from latentctx_agents.pvdr.imagining import Imagination
from latentctx_agents.pvdr.online_config import OnlineConfig
from latentctx_agents.pvdr.pictures import Film
from latentctx_agents.pvdr.worlds import WORLD, episode_of, make_env, world_of
from latentctx_agents.results import Measurement
from latentctx_envs.meta_world.goal_env import MetaWorldGoalEnv
from latentctx_envs.rollout import rollout

Shown = Literal["picture", "film"]  # what is shown of a demonstration
By = Literal["plans", "straight", "imagined"]  # plan, go straight, or straight along an imagined film


class Acted(NamedTuple):
    """What came of it."""

    task: str
    success: float  # share of the episodes
    film: Film  # of the first


def act(
    agent: GoalAgent,
    *,
    task: str | None = None,
    goal: Shown = "picture",
    by: By = "plans",
    plans: int | None = None,
    imagination: Imagination | None = None,
    episodes: int = 20,
    seed: int = 0,
) -> Acted:
    """Act towards the goals of so many episodes; no reward is looked at.

    Args:
        agent: what acts.
        task: None for that of its training.
        goal: "picture", the end of a demonstration, or "film", its frames one after another, without its actions.
        by: "plans", "straight" along the learned distance, or straight along a film "imagined" up to the picture.
        plans: drawn for each decision; None for as many as in its training.
        imagination: of such films; needed by them alone.
        episodes: how many.
        seed: of the first; each further one has the next.

    Raises:
        ValueError: an argument is out of range, the task's actions are others than the agent's, or its world has no films.
    """
    if episodes < 1 or seed < 0:
        raise ValueError(f"episodes start at 1, seeds at 0; got {episodes} and {seed}.")
    if goal not in get_args(Shown) or by not in get_args(By):
        raise ValueError(
            f"goal is one of {get_args(Shown)}, by one of {get_args(By)}; got {goal!r} and {by!r}."
        )
    if (by == "imagined") != (imagination is not None) or (by == "imagined" and goal == "film"):
        raise ValueError(
            "by='imagined' wants an imagination and a picture as the goal; nothing else wants one."
        )
    config = agent.config
    task = task or config.task
    if goal == "film" and world_of(task) != WORLD:
        raise ValueError(f"only {WORLD} has films of demonstrations; {task} is not of it.")
    env = make_env(OnlineConfig(task=task, stride=config.stride, render_profile=config.render_profile))
    space = env.action_space
    assert isinstance(space, spaces.Box)
    if (tuple(space.low), tuple(space.high)) != (config.low, config.high):
        raise ValueError(
            f"{task} has actions {space}; the agent's lie between {config.low} and {config.high}."
        )
    film = None if imagination is None else imagination.film
    if goal == "film":
        world = env.unwrapped
        assert isinstance(world, MetaWorldGoalEnv)
        film = functools.partial(_demonstration, world)
    policy = GoalPolicy(agent, seed, plans=plans, straight=by != "plans", film=film)
    success, shown = np.zeros(episodes, bool), []
    for number in range(episodes):
        for step in rollout(env, policy, [{"seed": seed + number}]):
            success[number] |= bool(step.next_info["success"])
            if number == 0:
                aimed = policy.aimed()[0] if goal == "film" else step.observation["desired_goal"]
                shown.append((step.observation["observation"], policy.planned()[0], aimed))
    env.close()
    frames, planned, goals = (np.stack(part) for part in zip(*shown, strict=True))
    return Acted(task, float(success.mean()), Film(frames, planned, goals))


def _demonstration(world: MetaWorldGoalEnv, frame: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """The film of the running episode's goal, as `GoalPolicy` asks for it."""
    return world.demonstration()


def measured_as(
    acted: Acted, agent: GoalAgent, training: dict[str, Any], folder: Path, setting: dict[str, Any]
) -> Measurement:
    """The success as a row of a CSV; `training` is the record of the agent in `folder`."""
    online = {"random_episodes": None, "decisions": None, "seed": 0, **training.get("online", {})}
    known = {
        "task": acted.task,
        **episode_of(acted.task),
        "plans": (setting["plans"] or agent.config.plans) if setting["by"] == "plans" else 0,
        "trained_in": agent.config.task,
        "random_episodes": online["random_episodes"],
        "budget": online["decisions"],
        "agent_hash": weights_hash(folder)[:16],
    }
    return Measurement(
        study="pvdr-act",
        world=world_of(acted.task),
        dataset=videos_of(training),
        method=setting["by"],
        setting={**setting, **known},
        seed=online["seed"],
        metric="success",
        value=acted.success,
    )
