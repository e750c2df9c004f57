"""The hidden goal of the point mass and its named splits."""

import functools
from dataclasses import dataclass
from typing import Self

import numpy as np
from gymnasium import spaces

from latentctx_envs.context import Context, Split, check_split

GOAL_LIMIT = 0.29  # [m] goals and starts lie in [-0.29, 0.29]^2
TRAIN_SEED = 0  # the authors' pretraining data seed (arXiv 2305.16985)
TRAIN_SIZE = 1000
TEST_SEED = 1_000_000  # the authors' finetuning seeds are 1e6 .. 1e6+4
TEST_SIZE = 100


@dataclass(frozen=True)
class PointMassContext(Context):
    """What is hidden from the agent during one episode: where it should go."""

    goal: tuple[float, float]  # target position in the arena frame [m], each in [-0.29, 0.29]

    def __post_init__(self) -> None:
        """Validate the goal and store it as a pair of Python floats."""
        try:
            values = np.asarray(self.goal, dtype=np.float64)
        except (TypeError, ValueError):
            values = np.empty(0)  # refused below
        if values.shape != (2,) or not np.isfinite(values).all():
            raise ValueError(f"goal must be two finite numbers (x, y) in metres; got {self.goal!r}.")
        if np.abs(values).max() > GOAL_LIMIT:
            raise ValueError(
                f"goal must lie in [-{GOAL_LIMIT}, {GOAL_LIMIT}] m on both axes; got {self.goal!r}."
            )
        object.__setattr__(self, "goal", (float(values[0]), float(values[1])))

    @classmethod
    def sample(cls, rng: np.random.Generator, split: Split = "all") -> Self:
        """Draw a goal: uniform over the arena ("all") or uniform over the split's literal goals."""
        check_split(split)
        if split == "all":
            goal = rng.uniform(-GOAL_LIMIT, GOAL_LIMIT, size=2)
            return cls(goal=(goal[0], goal[1]))
        goals = split_goals(split)
        return cls(goal=goals[int(rng.integers(len(goals)))])

    def as_array(self) -> np.ndarray:
        """The goal as float32, shape (2,), in metres."""
        return np.asarray(self.goal, dtype=np.float32)

    @classmethod
    def space(cls) -> spaces.Box:
        """Box of the goals, shape (2,), in metres."""
        return spaces.Box(-GOAL_LIMIT, GOAL_LIMIT, (2,), np.float32)


def goal_of_seed(data_seed: int) -> tuple[float, float]:
    """The goal that the authors' code gives a data seed (arXiv 2305.16985): seed -> task id -> goal."""
    return goal_of_task(int(np.random.default_rng(data_seed).integers(2**31 - 1)))


def goal_of_task(task_id: int) -> tuple[float, float]:
    """The goal of one of the authors' task ids [m]."""
    x, y = np.random.default_rng(task_id).uniform(-GOAL_LIMIT, GOAL_LIMIT, size=2)
    return float(x), float(y)


@functools.cache
def split_goals(split: Split) -> tuple[tuple[float, float], ...]:
    """The literal goals of a finite split, in order; "train" has 1,000, "test" 100.

    "train" draws 1,000 task ids from the authors' pretraining data seed 0; "test" takes the goals of
    the seeds 1e6, 1e6+1, ...: its first five are the authors' finetuning goals.

    Raises:
        ValueError: the split is unknown or, as "all", not finite.
    """
    check_split(split)
    if split == "train":
        task_ids = np.random.default_rng(TRAIN_SEED).integers(2**31 - 1, size=TRAIN_SIZE)
        return tuple(goal_of_task(int(task_id)) for task_id in task_ids)
    if split == "test":
        return tuple(goal_of_seed(TEST_SEED + k) for k in range(TEST_SIZE))
    raise ValueError(f"the split 'all' is every goal within {GOAL_LIMIT} m; it has no finite list.")
