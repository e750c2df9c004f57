"""The numbers of a stored physics state: what is simulated, then what was seen of it."""

import mujoco
import numpy as np

from latentctx_envs.kitchen.subtasks import ROBOT
from latentctx_envs.stored_state import checked_state

POSITIONS, VELOCITIES = 30, 29  # numbers of robot and objects; the kettle's turn is a quaternion
SEEN = POSITIONS + VELOCITIES
SIZE = (
    SEEN + VELOCITIES + SEEN
)  # positions, velocities, the solver's warm start; positions and velocities as seen
PARTS = int(
    mujoco.mjtState.mjSTATE_QPOS | mujoco.mjtState.mjSTATE_QVEL | mujoco.mjtState.mjSTATE_WARMSTART
)  # that the next physics step depends on; controls are set before it


def parted(state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is simulated (88,) and what was seen (59,) of a stored state, new arrays.

    Raises:
        ValueError: the state has another length or is not finite.
    """
    array = checked_state(state, SIZE)
    return array[:-SEEN], array[-SEEN:]


def positions_of(observations: np.ndarray) -> np.ndarray:
    """Positions of robot and objects (..., 30) in upstream's observations (..., 59)."""
    return np.concatenate(
        [observations[..., :ROBOT], observations[..., 2 * ROBOT : ROBOT + POSITIONS]], axis=-1
    )


def states_of(observations: np.ndarray) -> np.ndarray:
    """Stored states (n, 147) in which upstream's observations (n, 59) are seen and true; the solver starts cold."""
    robot, objects = observations[:, ROBOT : 2 * ROBOT], observations[:, ROBOT + POSITIONS :]
    seen = np.concatenate([positions_of(observations), robot, objects], axis=1)
    return np.concatenate([seen, np.zeros((len(seen), VELOCITIES)), seen], axis=1)
