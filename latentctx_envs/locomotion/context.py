"""The hidden task of a locomotion world."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from gymnasium import spaces

from latentctx_envs.context import Context, Split, check_split


@dataclass(frozen=True)
class LocomotionContext(Context):
    """What is hidden from the agent during one episode: what it is rewarded for."""

    tasks: ClassVar[tuple[str, ...]]  # names in the order of the one-hot vector

    task: str  # one of `tasks`

    def __post_init__(self) -> None:
        """Refuse a task that the embodiment does not have."""
        if self.task not in self.tasks:
            raise ValueError(f"task must be one of {', '.join(self.tasks)}; got {self.task!r}.")

    @classmethod
    def sample(cls, rng: np.random.Generator, split: Split = "all") -> Self:
        """Draw a task uniformly; the splits do not differ."""
        check_split(split)
        return cls(task=cls.tasks[int(rng.integers(len(cls.tasks)))])

    def as_array(self) -> np.ndarray:
        """The task as a one-hot vector, float32 (number of tasks,)."""
        return (np.arange(len(self.tasks)) == self.tasks.index(self.task)).astype(np.float32)

    @classmethod
    def space(cls) -> spaces.Box:
        """Box of the one-hot vectors."""
        return spaces.Box(0.0, 1.0, (len(cls.tasks),), np.float32)


@dataclass(frozen=True)
class CheetahContext(LocomotionContext):
    """Which task the cheetah is rewarded for."""

    tasks: ClassVar[tuple[str, ...]] = ("run",)


@dataclass(frozen=True)
class WalkerContext(LocomotionContext):
    """Which task the walker is rewarded for."""

    tasks: ClassVar[tuple[str, ...]] = ("stand", "walk", "run")
