"""What doing nothing and acting at random earn in the locomotion worlds: the floors under every return."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from latentctx_agents.results import Measurement
from latentctx_agents.returns import EVALUATION_SEED, returns_of
from latentctx_datasets.demonstrators import make_demonstrator
from latentctx_datasets.demonstrators.locomotion import ENV_IDS
from latentctx_envs.locomotion.protocol import ENV_KWARGS

SIZE = 6  # numbers of an action of cheetah and walker


class ZeroPolicy:
    """No torque."""

    def reset(self) -> None:
        """Nothing is remembered."""

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        """Zeros, float32 (n, 6)."""
        return np.zeros((len(observation), SIZE), np.float32)


def measure_floors(episodes: int = 100) -> Iterator[Measurement]:
    """Mean return and its standard error of both policies in every task, as AIME counts returns and summed up.

    Args:
        episodes: of each policy, task and way of counting, 500 decisions of two control steps each.
    """
    for task in ENV_IDS:
        for name, policy in (("random", make_demonstrator("random")), ("zero", ZeroPolicy())):
            for mode in ("last_substep", "sum"):
                returns = returns_of(policy, task, episodes=episodes, reward_mode=mode)
                yield from _rows(task, name, mode, returns)


def _rows(task: str, name: str, mode: str, returns: np.ndarray) -> Iterator[Measurement]:
    error = float(returns.std(ddof=1) / np.sqrt(len(returns)))
    for metric, value in (("return", float(returns.mean())), ("standard_error", error)):
        yield Measurement(
            study="locomotion_floors",
            world=ENV_IDS[task],
            dataset="",
            method=name,
            setting={
                "task": task,
                "reward_mode": mode,
                "action_repeat": ENV_KWARGS["action_repeat"],
                "decisions": ENV_KWARGS["max_episode_steps"],
                "episodes": len(returns),
            },
            seed=EVALUATION_SEED,
            metric=metric,
            value=value,
        )
