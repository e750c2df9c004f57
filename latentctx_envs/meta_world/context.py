"""What a Meta-World episode hides: the task, and where its objects and its goal are."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from gymnasium import spaces

from latentctx_envs.context import Context, Split, check_split
from latentctx_envs.meta_world.splits import TASKS, tasks_of

GOAL = 36  # where the goal begins in upstream's observation, after two frames of 18 numbers
LONGEST = 6  # numbers of a task's random vector, at most
NUMBERS = "three or six finite numbers"


@dataclass(frozen=True)
class MetaWorldContext(Context):
    """The task of an episode and its random vector.

    The vector is upstream's: the place of the object [m] and, in 26 of the tasks, that of the goal; of "pick-place-v3"
    the object's x, y, z and the goal's x, y, z.
    """

    task: str  # one of `splits.TASKS`
    vector: tuple[float, ...]  # [m] 3 or 6 numbers, within the task's own bounds

    def __post_init__(self) -> None:
        """Refuse a task that Meta-World does not have and what is no vector; its bounds are checked at a reset."""
        if self.task not in TASKS:
            raise ValueError(f"task must be one of Meta-World's, such as 'door-open-v3'; got {self.task!r}.")
        try:
            vector = tuple(float(number) for number in self.vector)
        except (TypeError, ValueError):
            raise ValueError(f"vector must be {NUMBERS}; got {self.vector!r}.") from None
        if len(vector) not in (3, LONGEST) or not np.isfinite(vector).all():
            raise ValueError(f"vector must be {NUMBERS}; got {self.vector!r}.")
        object.__setattr__(self, "vector", vector)

    @classmethod
    def sample(cls, rng: np.random.Generator, split: Split = "all") -> Self:
        """Draw a task of ML45's split uniformly, and a random vector that it takes."""
        check_split(split)
        tasks = tasks_of("ml45", split)
        return cls.of_task(tasks[int(rng.integers(len(tasks)))], rng)

    @classmethod
    def of_task(cls, task: str, rng: np.random.Generator) -> Self:
        """Draw a random vector of one task."""
        from latentctx_envs.meta_world.engine import shared_sawyer

        return cls(task=task, vector=tuple(shared_sawyer(task).sample_rand_vec(rng).tolist()))

    def as_array(self) -> np.ndarray:
        """The task as a one-hot vector, then the random vector [m], padded with zeros: float32 (56,)."""
        array = np.zeros(len(TASKS) + LONGEST, np.float32)
        array[TASKS.index(self.task)] = 1.0
        array[len(TASKS) : len(TASKS) + len(self.vector)] = self.vector
        return array

    @classmethod
    def space(cls) -> spaces.Box:
        """Box of these vectors."""
        return spaces.Box(-1.0, 1.0, (len(TASKS) + LONGEST,), np.float32)
