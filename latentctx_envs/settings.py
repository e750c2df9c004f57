"""The keyword arguments that every LatentCtx environment takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, Literal, Self, TypeGuard, get_args

import numpy as np

from latentctx_envs.context import Split, check_split
from latentctx_envs.rendering import RenderProfile, check_profile

ObservationKind = Literal["state", "position", "pixels"]
ContextMode = Literal["hidden", "observed"]
KINDS: tuple[str, ...] = get_args(ObservationKind)
CONTEXT_MODES: tuple[str, ...] = get_args(ContextMode)
SIGHT = (
    "observation", "context", "image_size", "camera", "render_profile", "context_visible", "render_mode", "render_context",
)  # fmt: skip
"""Keyword arguments of worlds that decide what is shown, not what happens and not what states hold; `goal_visible` is another
where the world's states show no goal either way."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an environment shows, from which contexts it draws and how an action is executed.

    Raises:
        ValueError: a value is not one of those named.
    """

    observation: str | Sequence[str] = "state"  # "state", "position", "pixels"; several give a Dict
    context: ContextMode = "hidden"  # "observed" puts the context vector into the observation
    context_split: Split = "all"  # "train" and "test" are finite and disjoint; "all" is the whole range
    image_size: int | Sequence[int] = 84  # [pixels] of the observation: a square's side or (height, width)
    camera: str | int = 0  # name or index
    render_profile: RenderProfile = "fast"  # "reference", "fast" or "turbo"
    action_repeat: int = 1  # control steps an action; rewards add up, only the last frame is rendered
    noise_scale: float = 0.0  # standard deviation of noise on the executed action, before clipping
    terminate_on_success: bool = False  # end the episode at the first success
    context_visible: bool = False  # draw the context in the observed pixels (the observable control)

    def __post_init__(self) -> None:
        """Refuse impossible values in words."""
        kinds = self.kinds
        if not kinds or any(kind not in KINDS for kind in kinds) or len(set(kinds)) < len(kinds):
            raise ValueError(
                f"observation must be one of {', '.join(KINDS)}, or several different ones; "
                f"got {self.observation!r}."
            )
        if self.context not in CONTEXT_MODES:
            raise ValueError(f"context must be one of {', '.join(CONTEXT_MODES)}; got {self.context!r}.")
        check_split(self.context_split)
        check_profile(self.render_profile)
        _ = self.frame_shape
        if not is_whole(self.action_repeat) or self.action_repeat < 1:
            raise ValueError(f"action_repeat must be a whole number from 1; got {self.action_repeat!r}.")
        if not is_number(self.noise_scale) or not 0.0 <= self.noise_scale < float("inf"):
            raise ValueError(f"noise_scale must be a finite number from 0; got {self.noise_scale!r}.")
        for name in ("terminate_on_success", "context_visible"):
            check_flag(name, getattr(self, name))

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Self:
        """The settings among a world's keyword arguments, when it has taken its own out.

        Raises:
            TypeError: an argument is none.
            ValueError: a value is not one of those named.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(arguments) - set(known))
        if unknown:
            raise TypeError(
                f"this world has no argument {', '.join(unknown)}; beside its own (`latentctx envs <id>`) it takes "
                f"{', '.join(known)}."
            )
        return cls(**arguments)

    @classmethod
    def showing(cls, goal_visible: bool, settings: Mapping[str, Any]) -> Self:
        """The settings of a world whose context is a goal, where `context_visible` goes by the name `goal_visible`.

        Raises:
            ValueError: a value is not one of those named.
        """
        if "context_visible" in settings:
            raise ValueError("this world's context is a goal: say goal_visible instead of context_visible.")
        check_flag("goal_visible", goal_visible)
        return cls.of({"context_visible": goal_visible, **settings})

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of observation, in order."""
        several = isinstance(self.observation, (list, tuple))
        return tuple(self.observation) if several else (self.observation,)  # type: ignore[return-value]

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Shape of one frame: (height, width, 3).

        Raises:
            ValueError: `image_size` is not one or two positive whole numbers.
        """
        size = self.image_size
        pair = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
        sides = [int(side) for side in pair if is_whole(side) and side >= 1]
        if len(pair) != 2 or len(sides) != 2:
            raise ValueError(f"image_size must be a positive int or (height, width); got {size!r}.")
        return sides[0], sides[1], 3


def check_flag(name: str, value: Any) -> None:
    """Refuse anything but a truth value; a text such as "no" would count as True.

    Raises:
        ValueError: another value.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False; got {value!r}.")


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether it is a whole number, Python's or NumPy's, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a real number, Python's or NumPy's, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)
