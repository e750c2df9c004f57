"""What a kitchen episode hides: which four sub-tasks are wanted, and in which order they are meant."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from gymnasium import spaces

from latentctx_envs.context import Context, Split, check_split
from latentctx_envs.kitchen.subtasks import SUBTASKS

WANTED = 4  # sub-tasks of a sequence
SHAPE = (WANTED * len(SUBTASKS),)

TEST: tuple[tuple[str, ...], ...] = (
    ("microwave", "kettle", "light switch", "slide cabinet"),
    ("bottom burner", "top burner", "slide cabinet", "hinge cabinet"),
    ("kettle", "bottom burner", "top burner", "light switch"),
)
"""The sequences that arXiv 2305.16985 finetunes on."""

TRAIN: tuple[tuple[str, ...], ...] = tuple(
    sequence for sequence in itertools.permutations(SUBTASKS, WANTED) if sequence not in TEST
)
"""Every other sequence, in the order of `SUBTASKS`; another order of a test sequence is one of them."""


@dataclass(frozen=True)
class KitchenContext(Context):
    """The four sub-tasks of an episode, in order."""

    subtasks: tuple[str, ...]  # four different ones of `subtasks.SUBTASKS`

    def __post_init__(self) -> None:
        """Refuse anything but four different sub-tasks."""
        given = self.subtasks
        names = tuple(map(str, given)) if isinstance(given, (list, tuple, np.ndarray)) else ()
        if len(names) != WANTED or len({*names, *SUBTASKS}) != len(SUBTASKS) or len(set(names)) != WANTED:
            raise ValueError(f"subtasks must be four different ones of {', '.join(SUBTASKS)}; got {given!r}.")
        object.__setattr__(self, "subtasks", names)

    @classmethod
    def sample(cls, rng: np.random.Generator, split: Split = "all") -> Self:
        """Draw one of the split's sequences uniformly: 3 of "test", 837 of "train"."""
        check_split(split)
        sequences = {"train": TRAIN, "test": TEST, "all": TRAIN + TEST}[split]
        return cls(sequences[int(rng.integers(len(sequences)))])

    def as_array(self) -> np.ndarray:
        """One one-hot vector of seven for each of the four sub-tasks, in order: float32 (28,)."""
        rows = [SUBTASKS.index(name) for name in self.subtasks]
        return np.eye(len(SUBTASKS), dtype=np.float32)[rows].reshape(SHAPE)

    @classmethod
    def space(cls) -> spaces.Box:
        """Box of these vectors."""
        return spaces.Box(0.0, 1.0, SHAPE, np.float32)


def split_of(subtasks: Sequence[str]) -> Split:
    """The split that a sequence of four sub-tasks belongs to, "train" or "test"."""
    return "test" if tuple(subtasks) in TEST else "train"
