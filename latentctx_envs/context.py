"""The context: what is hidden from the learner and constant within an episode."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from gymnasium import spaces

Split = Literal["train", "test", "all"]
SPLITS: tuple[Split, ...] = get_args(Split)


def check_split(split: str) -> None:
    """Refuse a split name that no context type knows."""
    if split not in SPLITS:
        raise ValueError(f"context_split must be one of {', '.join(SPLITS)}; got {split!r}.")


def check_split_of(split: Split, splits: Sequence[Split], world: object) -> None:
    """Refuse a split that a world's contexts do not have.

    Raises:
        ValueError: it has no such split.
    """
    if split not in splits:
        raise ValueError(
            f"the contexts of this {type(world).__name__} have no split {split!r}: context_split must be {' or '.join(splits)}; "
            "where other arguments choose other contexts, `latentctx envs <id>` says which have splits."
        )


@dataclasses.dataclass(frozen=True)
class ContextFields:
    """What every context can do: become a dict of plain values, and come back from one.

    Contexts of other people's simulators (OGBench, RLBench) are only this: frozen dataclasses whose fields mean
    something to that simulator. The families of this package subclass `Context`.
    """

    def to_dict(self) -> dict[str, Any]:
        """Plain values (numbers, strings, tuples), a fresh dict at each call."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a context from `to_dict()`'s form.

        Raises:
            ValueError: a field is unknown, missing, or its value is out of range.
        """
        expected = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(values) - set(expected))
        missing = sorted(set(expected) - set(values))
        if unknown or missing:
            problem = f"unknown {unknown}" if unknown else f"missing {missing}"
            raise ValueError(f"{cls.__name__} has the fields {expected}; {problem}.")
        return cls(**values)

    @classmethod
    def coerce(cls, value: "ContextFields | Mapping[str, Any]") -> Self:
        """Accept a context of this type or its dict form.

        Raises:
            ValueError: anything else, or a bad field.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, Mapping):
            return cls.from_dict(value)
        raise ValueError(f"context must be a {cls.__name__} or a dict with its fields; got {value!r}.")


@dataclasses.dataclass(frozen=True)
class Context(ContextFields, ABC):
    """Base of every family's context: a frozen dataclass of plain values with splits and a vector.

    A family subclasses it with its fields, validates them in `__post_init__` and implements
    `sample`, `as_array` and `space`.
    """

    splits: ClassVar[tuple[Split, ...]] = SPLITS

    @classmethod
    @abstractmethod
    def sample(cls, rng: np.random.Generator, split: Split = "all") -> Self:
        """Draw one context of the named split; all randomness comes from `rng`."""

    @abstractmethod
    def as_array(self) -> np.ndarray:
        """The context as a float32 vector of shape (d,), an element of `space()`."""

    @classmethod
    @abstractmethod
    def space(cls) -> spaces.Box:
        """The Box of shape (d,) that holds every `as_array()`."""
