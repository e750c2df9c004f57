"""The planar walker of dm_control's suite."""

from typing import ClassVar

import mujoco
import numpy as np

from latentctx_envs.context import Context
from latentctx_envs.locomotion.context import WalkerContext
from latentctx_envs.locomotion.task import LocomotionTask, random_joints
from latentctx_envs.suite import gaussian_at_least, linear_at_least

STAND_HEIGHT = 1.2  # [m] of the torso, from which standing earns 1
MOVE_SPEEDS = {"walk": 1.0, "run": 8.0}  # [m/s] from which moving earns 1
BODIES = 7
# columns of a row: nine rotation matrix entries a body, torso position, velocities, centre of mass velocity
ORIENTATIONS = np.add.outer(9 * np.arange(BODIES), [0, 2]).ravel()  # xx and xz of each body
UPRIGHT = 8  # zz of the torso, the first body
HEIGHT = 9 * BODIES + 2
VELOCITY = slice(HEIGHT + 1, HEIGHT + 10)
SPEED = HEIGHT + 10
POSITION_COLUMNS = np.append(ORIENTATIONS, HEIGHT)
STATE_COLUMNS = np.append(POSITION_COLUMNS, np.arange(VELOCITY.start, VELOCITY.stop))


class WalkerTask(LocomotionTask):
    """Rows are rotation matrices (7 x 9), torso position (3) [m], velocities (9), centre of mass velocity (3) [m/s]."""

    context_type: ClassVar[type[WalkerContext]] = WalkerContext
    domain: ClassVar[str] = "walker"
    sizes: ClassVar[dict[str, int]] = {"state": len(STATE_COLUMNS), "position": len(POSITION_COLUMNS)}
    substeps: ClassVar[int] = 10  # of 0.0025 s
    render_fps: ClassVar[int] = 40

    def start(self, data: mujoco.MjData, context: Context, rng: np.random.Generator) -> None:
        """Every hinge anywhere in its range, the torso turned by any angle, at rest."""
        mujoco.mj_resetData(self.model, data)
        mujoco.mj_forward(self.model, data)  # leaves the warm start from which the suite starts
        positions, where = random_joints(self.model, rng, hinges=True)
        data.qpos[where] = positions
        mujoco.mj_forward(self.model, data)

    def views(self, data: mujoco.MjData) -> tuple[np.ndarray, ...]:
        """Orientations of all bodies but the world, the torso's position, velocities and the suite's one sensor."""
        return data.xmat[1:], data.xpos[1], data.qvel, data.sensordata

    def observe(self, kind: str, rows: np.ndarray) -> np.ndarray:
        """Planar orientations (14) and height; for "state" velocities (9) as well."""
        return rows[:, STATE_COLUMNS if kind == "state" else POSITION_COLUMNS].astype(np.float32)

    def reward(self, task: str, rows: np.ndarray) -> np.ndarray:
        """Standing high and upright, times moving forward at the task's speed."""
        standing = gaussian_at_least(rows[:, HEIGHT], STAND_HEIGHT, STAND_HEIGHT / 2)
        stand = (3 * standing + (1 + rows[:, UPRIGHT]) / 2) / 4
        if task == "stand":
            return stand
        speed = MOVE_SPEEDS[task]
        return stand * (5 * linear_at_least(rows[:, SPEED], speed, speed / 2, 0.5) + 1) / 6
