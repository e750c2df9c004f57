"""Acting with a finished agent, in the world of its training or with another task of the same body."""

from typing import NamedTuple

import numpy as np
from gymnasium import spaces

from latentctx_agents.pvdr.agent import GoalAgent, GoalPolicy
from latentctx_agents.pvdr.online_config import OnlineConfig
from latentctx_agents.pvdr.pictures import Film
from latentctx_agents.pvdr.worlds import make_env
from latentctx_envs.rollout import rollout


class Acted(NamedTuple):
    """What came of it."""

    task: str
    success: float  # share of the episodes
    film: Film  # of the first


def act(
    agent: GoalAgent,
    *,
    task: str | None = None,
    plans: int | None = None,
    episodes: int = 20,
    seed: int = 0,
) -> Acted:
    """Act towards the goals of so many episodes; no reward is looked at.

    Args:
        agent: what acts.
        task: None for that of its training.
        plans: drawn for each decision; None for as many as in its training.
        episodes: how many.
        seed: of the first; each further one has the next.

    Raises:
        ValueError: no episode or plan is asked for, or the task's actions are others than the agent's.
    """
    if episodes < 1:
        raise ValueError(f"episodes start at 1; got {episodes}.")
    config, policy = agent.config, GoalPolicy(agent, seed, plans=plans)
    task = task or config.task
    env = make_env(OnlineConfig(task=task, stride=config.stride, render_profile=config.render_profile))
    space = env.action_space
    assert isinstance(space, spaces.Box)
    if (tuple(space.low), tuple(space.high)) != (config.low, config.high):
        raise ValueError(
            f"{task} has actions {space}; the agent's lie between {config.low} and {config.high}."
        )
    success, shown = np.zeros(episodes, bool), []
    for number in range(episodes):
        for step in rollout(env, policy, [{"seed": seed + number}]):
            success[number] |= bool(step.next_info["success"])
            if number == 0:
                seen = step.observation
                shown.append((seen["observation"], policy.planned()[0], seen["desired_goal"]))
    env.close()
    frames, planned, goals = (np.stack(part) for part in zip(*shown, strict=True))
    return Acted(task, float(success.mean()), Film(frames, planned, goals[0]))
