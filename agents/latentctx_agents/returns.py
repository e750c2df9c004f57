"""What policies earn in the locomotion worlds, counted as AIME counts returns."""

from typing import Any

import gymnasium as gym
import numpy as np

from latentctx_agents.results import Measurement
from latentctx_datasets.demonstrators import Draws
from latentctx_datasets.demonstrators.locomotion import ENV_IDS
from latentctx_envs.locomotion.protocol import ENV_KWARGS, NATIVE_RETURN, most
from latentctx_envs.rollout import Policy, rollout

EVALUATION_SEED = 60_000

PAPER_RETURNS: dict[str, float] = {
    "walker-stand": 957.87, "walker-walk": 943.79, "walker-run": 604.10, "cheetah-run": 888.65,
    "cheetah-run-backward": 218.50, "cheetah-flip": 485.79, "cheetah-flip-backward": 379.91,
}  # fmt: skip
"""Mean returns of AIME's experts; at most 1,000, for the last three (one control step a decision counts) 500."""


def returns_of(
    policy: Policy,
    task: str,
    *,
    episodes: int = 100,
    reward_mode: str = "last_substep",
    seed: int = EVALUATION_SEED,
    **env_kwargs: Any,
) -> np.ndarray:
    """Returns of episodes of 500 decisions, by default as AIME counts them, float64 (episodes,).

    Args:
        policy: acts on what the environment shows.
        task: a name in `ENV_IDS`.
        episodes: all side by side in one vector environment.
        reward_mode: how a decision's control steps are counted.
        seed: of the first episode; the next ones have the next seeds.
        env_kwargs: further ones of the environment, such as `observation`.
    """
    env = side_by_side(ENV_IDS[task], episodes, **{**ENV_KWARGS, "reward_mode": reward_mode, **env_kwargs})
    if isinstance(policy, Draws):
        policy.begin(env.single_action_space, range(seed, seed + episodes))  # type: ignore[arg-type]
    total = sum_rewards(env, policy, seed)
    env.close()
    return total


def side_by_side(env_id: str, count: int, **env_kwargs: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
    """N environments of a world, which render in this process, as studies have one on each core."""
    here = {"num_workers": 0} if env_kwargs.get("observation") == "pixels" else {}
    return gym.make_vec(env_id, num_envs=count, **here, **env_kwargs)


def sum_rewards(env: gym.vector.VectorEnv[Any, Any, Any], policy: Policy, seed: int) -> np.ndarray:
    """Returns of one episode in each of N environments, float64 (N,).

    Args:
        env: the environments.
        policy: acts on what they show.
        seed: of the first; the next ones have the next seeds.
    """
    total = np.zeros(env.num_envs)
    for step in rollout(env, policy, [{"seed": seed}]):
        total += np.where(step.active, step.reward, 0.0)
    return total


def measure(policy: Policy, task: str, *, episodes: int = 100) -> list[Measurement]:
    """Mean return and its standard deviation over episodes, as AIME counts returns and summed up.

    Args:
        policy: the demonstrator.
        task: a name in `ENV_IDS`.
        episodes: of each way of counting.
    """
    rows = []
    for mode in ("last_substep", "sum"):
        returns = returns_of(policy, task, episodes=episodes, reward_mode=mode)
        for metric, value in (("return", returns.mean()), ("return_std", returns.std())):
            rows.append(
                Measurement(
                    study="demonstrators",
                    world=ENV_IDS[task],
                    dataset="",
                    method=f"{task}-ppo",
                    setting={
                        "task": task,
                        **ENV_KWARGS,
                        "reward_mode": mode,
                        "episodes": episodes,
                        "paper": PAPER_RETURNS.get(task),
                        "max_return": most(task) if mode == "last_substep" else NATIVE_RETURN,
                    },
                    seed=EVALUATION_SEED,
                    metric=metric,
                    value=float(value),
                )
            )
    return rows
