"""Physics states as arrays: read from MuJoCo's data, and checked before they are put back."""

from typing import Any

import mujoco
import numpy as np

# all that the next step depends on, warm start included
INTEGRATION = int(mujoco.mjtState.mjSTATE_INTEGRATION)


def get_state(model: mujoco.MjModel, data: mujoco.MjData, parts: int = INTEGRATION) -> np.ndarray:
    """The parts (of `mujoco.mjtState`) of the data's state, float64 (k,), a new array."""
    state = np.empty(mujoco.mj_stateSize(model, parts))
    mujoco.mj_getState(model, data, state, parts)
    return state


def checked_state(state: Any, size: int) -> np.ndarray:
    """A stored state as a new float64 array (size,), writable as MuJoCo's bindings want it.

    Raises:
        ValueError: it has another length or is not finite numbers.
    """
    try:
        array = np.array(state, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"a physics state must be {size} finite numbers; got {state!r}.") from None
    if array.shape != (size,) or not np.isfinite(array).all():
        raise ValueError(f"a physics state must be {size} finite numbers; got shape {array.shape}.")
    return array
