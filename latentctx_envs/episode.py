"""Steps that the single and the vector environment share: options, starts, actions, stored states."""

from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import numpy as np

from latentctx_envs.context import Context
from latentctx_envs.settings import Settings
from latentctx_envs.task import Task

RESET_OPTIONS = ("context", "physics_state")
PHYSICS = mujoco.mjtState.mjSTATE_FULLPHYSICS


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
    context = task.context_type.sample(rng, settings.context_split)
    if options.get("context") is not None:
        context = task.context_type.coerce(options["context"])
    task.start(data, context, rng)
    if options.get("physics_state") is not None:
        restore(task.model, data, options["physics_state"])
    return context


def execute(
    task: Task, data: mujoco.MjData, action: np.ndarray, rng: np.random.Generator, noise_scale: float
) -> None:
    """Simulate one control step: add noise if there is any, clip to the action space, advance."""
    space = task.action_space
    if noise_scale > 0.0:
        action = action + rng.normal(0.0, noise_scale, size=action.shape)
    task.advance(data, np.clip(action, space.low, space.high))


def physics_state(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """MuJoCo's full physics state (time, positions, velocities, activations), float64 (k,)."""
    state = np.empty(mujoco.mj_stateSize(model, PHYSICS))
    mujoco.mj_getState(model, data, state, PHYSICS)
    return state


def restore(model: mujoco.MjModel, data: mujoco.MjData, state: np.ndarray) -> None:
    """Put `data` into a stored physics state and bring derived quantities up to date.

    Raises:
        ValueError: the state has another length or is not finite.
    """
    size = mujoco.mj_stateSize(model, PHYSICS)
    try:
        array = np.asarray(state, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"physics_state must be {size} finite numbers; got {state!r}.") from None
    if array.shape != (size,) or not np.isfinite(array).all():
        raise ValueError(f"physics_state must be {size} finite numbers; got shape {array.shape}.")
    mujoco.mj_setState(model, data, array, PHYSICS)
    mujoco.mj_forward(model, data)
