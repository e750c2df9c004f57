"""Steps that the single and the vector environment share: options, starts, actions, stored states."""

from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import numpy as np
from gymnasium import spaces

from latentctx_envs.context import Context
from latentctx_envs.settings import Settings
from latentctx_envs.stored_state import checked_state, get_state
from latentctx_envs.task import Task

RESET_OPTIONS = ("context", "physics_state")


def check_options(options: Mapping[str, Any] | None, known: Sequence[str]) -> dict[str, Any]:
    """The reset options as a dict.

    Raises:
        ValueError: an option is unknown.
    """
    checked = dict(options) if options is not None else {}
    unknown = sorted(set(checked) - set(known))
    if unknown:
        raise ValueError(f"reset options are {', '.join(known)}; got {', '.join(unknown)}.")
    return checked


def check_action(action: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The action as a float64 array of `shape`.

    Raises:
        ValueError: another shape, not numbers, NaN or infinite.
    """
    try:
        array = np.asarray(action, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"action must be numbers of shape {shape}; got {action!r}.") from None
    if array.shape != shape:
        raise ValueError(f"action must have shape {shape}; got {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"action must be finite; got {array.tolist()}. Nothing was simulated.")
    return array


def start_episode(
    task: Task,
    data: mujoco.MjData,
    rng: np.random.Generator,
    settings: Settings,
    options: Mapping[str, Any],
) -> Context:
    """Choose a context, put `data` into a start state, and return the context.

    A context is drawn even if the options pin one, so that a seed gives the same start state either way.
    """
    context = task.draw_context(rng, settings.context_split)
    if options.get("context") is not None:
        context = task.context_type.coerce(options["context"])
    task.start(data, context, rng)
    return context


def executed(
    actions: np.ndarray, space: spaces.Box, rngs: Sequence[np.random.Generator], noise_scale: float
) -> np.ndarray:
    """The controls (n, a) that n environments really execute: noise added if there is any, then clipped."""
    if noise_scale > 0.0:
        noise = [rng.normal(0.0, noise_scale, size=actions.shape[1:]) for rng in rngs]
        actions = actions + np.reshape(noise, actions.shape)
    return np.minimum(np.maximum(actions, space.low), space.high)  # a third of np.clip's time on few numbers


def physics_state(task: Task, data: mujoco.MjData) -> np.ndarray:
    """The parts of the physics that decide what follows (the task names them), float64 (k,)."""
    return get_state(task.model, data, task.state_parts)


def restore(task: Task, data: mujoco.MjData, state: np.ndarray) -> None:
    """Put `data` into a stored physics state and bring derived quantities up to date.

    Raises:
        ValueError: the state has another length or is not finite.
    """
    array = checked_state(state, mujoco.mj_stateSize(task.model, task.state_parts))
    mujoco.mj_setState(task.model, data, array, task.state_parts)
    mujoco.mj_step1(
        task.model, data
    )  # what a control step ends with; mj_forward would warm the solver once more
