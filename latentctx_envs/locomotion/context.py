"""What a locomotion world hides: the task, or a signed target speed or spin rate."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Self, get_args

import numpy as np
from gymnasium import spaces

from latentctx_envs.context import Context, Split, check_split

ContextKind = Literal["task", "speed"]
CONTEXT_KINDS: tuple[str, ...] = get_args(ContextKind)
Motion = Literal["move", "spin"]
MOTIONS: tuple[str, ...] = get_args(Motion)
SPIN_LIMIT = 5.0  # [rad/s] target spin rates lie in [-5, 5]; 5 is the paper's full flip (AIME)


@dataclass(frozen=True)
class LocomotionContext(Context):
    """What is hidden from the agent during one episode: what it is rewarded for."""

    splits: ClassVar[tuple[Split, ...]] = ("all",)
    tasks: ClassVar[tuple[str, ...]]  # names in the order of the one-hot vector

    task: str  # one of `tasks`

    def __post_init__(self) -> None:
        """Refuse a task that the embodiment does not have."""
        if self.task not in self.tasks:
            raise ValueError(f"task must be one of {', '.join(self.tasks)}; got {self.task!r}.")

    @classmethod
    def sample(cls, rng: np.random.Generator, split: Split = "all") -> Self:
        """Draw a task uniformly; there are no splits."""
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

    tasks: ClassVar[tuple[str, ...]] = ("run", "run-backward", "flip", "flip-backward")


@dataclass(frozen=True)
class WalkerContext(LocomotionContext):
    """Which task the walker is rewarded for."""

    tasks: ClassVar[tuple[str, ...]] = (
        "stand", "walk", "run", "walk-backward", "run-backward", "flip", "flip-backward", "jump",
    )  # fmt: skip


@dataclass(frozen=True)
class TargetContext(Context):
    """How fast the agent is to move or to spin; the sign is the direction."""

    speed_limit: ClassVar[float]  # [m/s] of the embodiment

    motion: str  # "move" along x or "spin" around y
    target: float  # [m/s] forward, or [rad/s] nose down

    def __post_init__(self) -> None:
        """Refuse an unknown motion and a target out of range."""
        if self.motion not in MOTIONS:
            raise ValueError(f"motion must be one of {', '.join(MOTIONS)}; got {self.motion!r}.")
        limit = self._limit(self.motion)
        number = isinstance(self.target, (int, float, np.floating)) and not isinstance(self.target, bool)
        if not number or not abs(self.target) <= limit:
            raise ValueError(
                f"target of {self.motion!r} lies in [-{limit:g}, {limit:g}]; got {self.target!r}."
            )
        object.__setattr__(self, "target", float(self.target))

    @classmethod
    def _limit(cls, motion: str) -> float:
        return cls.speed_limit if motion == "move" else SPIN_LIMIT

    @classmethod
    def sample(cls, rng: np.random.Generator, split: Split = "all") -> Self:
        """Draw a motion, then a target uniformly in its range; the splits are alternate tenths of that range.

        "train" has the even tenths, "test" the odd ones, so that a test target lies between training targets.
        """
        check_split(split)
        motion = MOTIONS[int(rng.integers(len(MOTIONS)))]
        unit = rng.uniform()  # place within the range, or within the tenth
        if split != "all":
            tenth = 2 * int(rng.integers(5)) + (split == "test")
            unit = (tenth + unit) / 10
        return cls(motion=motion, target=(2 * unit - 1) * cls._limit(motion))

    def as_array(self) -> np.ndarray:
        """(1 if it is a spin else 0, target / its limit), float32 (2,)."""
        spins = float(self.motion == "spin")
        return np.array([spins, self.target / self._limit(self.motion)], np.float32)

    @classmethod
    def space(cls) -> spaces.Box:
        """Box of (spin, target / limit)."""
        return spaces.Box(np.array([0, -1], np.float32), np.array([1, 1], np.float32))


@dataclass(frozen=True)
class CheetahTarget(TargetContext):
    """How fast the cheetah is to move or to spin."""

    speed_limit: ClassVar[float] = 10.0


@dataclass(frozen=True)
class WalkerTarget(TargetContext):
    """How fast the walker is to move or to spin."""

    speed_limit: ClassVar[float] = 8.0
