"""The hand's way to its start, walked once and then remembered.

Upstream starts an episode with 250 physics steps that bring the hand to its place, twice: once from wherever the last
episode ended, to put the task's bodies where the random vector says, and once more from MuJoCo's initial state. The
second walk alone decides the state, so the first is not needed; and for most tasks the second does not depend on the
random vector, to the last bit, so that it need be walked only once in an environment's life.
"""

import mujoco
import numpy as np

from latentctx_envs.stored_state import INTEGRATION, get_state

HAND_MEETS_OBJECT = frozenset(
    {
        "box-close-v3",
        "disassemble-v3",
        "door-lock-v3",
        "door-unlock-v3",
        "handle-press-side-v3",
        "handle-press-v3",
        "handle-pull-side-v3",
        "handle-pull-v3",
        "lever-pull-v3",
        "peg-unplug-side-v3",
    }
)
"""Tasks whose state after the walk depends on the random vector: what it moves has joints, or something touches it.

Found by comparing the states after the walk; of a task that is not listed, for 110 vectors, 40 of them corners of
their box, unless its vector moves no body at all.
"""

REMEMBERED = 256  # walks of different random vectors, about a kilobyte each
STATE = INTEGRATION
LEAST = int(
    mujoco.mjtState.mjSTATE_FULLPHYSICS
    | mujoco.mjtState.mjSTATE_WARMSTART
    | mujoco.mjtState.mjSTATE_MOCAP_POS
    | mujoco.mjtState.mjSTATE_MOCAP_QUAT
)  # of these, what differs between two moments of an episode and is not set by the next action


class Walks:
    """States one physics step before the end of the hand's walk, by what the walk depends on."""

    def __init__(self) -> None:
        self._states: dict[bytes, np.ndarray] = {}

    def end(self, model: mujoco.MjModel, data: mujoco.MjData, substeps: int, key: bytes | None) -> None:
        """Put `data`, fresh from `mj_resetData` and with its controls set, at the end of a walk of `substeps`.

        A walk without a key is not remembered. The last step is always made: it leaves the same derived quantities behind as a walk, one step old.
        """
        state = None if key is None else self._states.get(key)
        if state is None:
            mujoco.mj_step(model, data, nstep=substeps - 1)
            if key is not None:
                self._remember(key, get_state(model, data))
        else:
            mujoco.mj_setState(model, data, state, STATE)
        mujoco.mj_step(model, data)

    def _remember(self, key: bytes, state: np.ndarray) -> None:
        if len(self._states) >= REMEMBERED:
            del self._states[next(iter(self._states))]
        self._states[key] = state
