"""What doing nothing and acting at random earn in the locomotion worlds: the floors under every return."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from latentctx_agents.demonstrators import ACTION_REPEAT, DECISIONS, returns_of
from latentctx_agents.results import Measurement
from latentctx_datasets.demonstrators.locomotion import ENV_IDS

SIZE = 6  # numbers of an action of cheetah and walker
SEED = 0


class RandomPolicy:
    """Uniform actions for a batch of environments."""

    def __init__(self, seed: int = SEED) -> None:
        self._rng = np.random.default_rng(seed)

    def reset(self) -> None:
        """The generator goes on."""

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        """Actions, float32 (n, 6) in [-1, 1]."""
        return self._rng.uniform(-1.0, 1.0, (len(observation), SIZE)).astype(np.float32)


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
        for name, policy in (("random", RandomPolicy()), ("zero", ZeroPolicy())):
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
                "action_repeat": ACTION_REPEAT,
                "decisions": DECISIONS,
                "episodes": len(returns),
            },
            seed=SEED,
            metric=metric,
            value=value,
        )
