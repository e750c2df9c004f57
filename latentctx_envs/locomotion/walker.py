"""The planar walker of dm_control's suite."""

from typing import ClassVar

import mujoco
import numpy as np

from latentctx_envs.context import Context
from latentctx_envs.locomotion.context import WalkerContext, WalkerTarget
from latentctx_envs.locomotion.task import LocomotionTask, closeness, random_joints
from latentctx_envs.suite import gaussian_at_least, linear_at_least

STAND_HEIGHT = 1.2  # [m] of the torso, from which standing earns 1
MOVE_SPEEDS = {"walk": 1.0, "run": 8.0}  # [m/s] from which moving earns 1
JUMP_HEIGHT = 5.0  # [m] of the torso, from which a jump earns 1 (AIME's code); standing earns a quarter
BODIES = 7
# columns of a row: nine rotation matrix entries a body, torso position, velocities, whole body's velocity and momentum
ORIENTATIONS = np.add.outer(9 * np.arange(BODIES), [0, 2]).ravel()  # xx and xz of each body
UPRIGHT = 8  # zz of the torso, the first body
HEIGHT = 9 * BODIES + 2
VELOCITY = slice(HEIGHT + 1, HEIGHT + 10)
ROOT_X_RATE, ROOT_TURN_RATE = VELOCITY.start + 1, VELOCITY.start + 2  # the root's joints are z, x, turn
SPEED = HEIGHT + 10
ANGULAR_MOMENTUM = SPEED + 4  # around y
POSITION_COLUMNS = np.append(ORIENTATIONS, HEIGHT)
STATE_COLUMNS = np.append(POSITION_COLUMNS, np.arange(VELOCITY.start, VELOCITY.stop))


class WalkerTask(LocomotionTask):
    """Rows are rotation matrices (7 x 9), torso position (3), velocities (9), whole body's velocity and spin (3, 3)."""

    task_context: ClassVar[type[WalkerContext]] = WalkerContext
    target_context: ClassVar[type[WalkerTarget]] = WalkerTarget
    domain: ClassVar[str] = "walker"
    native: ClassVar[tuple[str, ...]] = ("stand", "walk", "run")
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
        """Orientations, the torso's position, velocities, the suite's one sensor and what comes along with it."""
        return data.xmat[1:], data.xpos[1], data.qvel, data.sensordata, data.subtree_angmom[1]

    def observe(self, kind: str, rows: np.ndarray) -> np.ndarray:
        """Planar orientations (14) and height; for "state" velocities (9) as well."""
        return rows[:, STATE_COLUMNS if kind == "state" else POSITION_COLUMNS].astype(np.float32)

    def reward(self, task: str, rows: np.ndarray) -> np.ndarray:
        """Standing high and upright, times moving at the task's speed; a jump is the torso's height.

        Backward tasks mirror the forward ones by the root's horizontal speed. AIME's code takes the vertical one there.
        """
        if task == "jump":
            return np.clip(rows[:, HEIGHT] / JUMP_HEIGHT, 0.0, 1.0)
        stand = _stand(rows)
        if task == "stand":
            return stand
        direction, _, backward = task.partition("-")
        speed = MOVE_SPEEDS[direction]
        if backward:
            moving = np.clip(-rows[:, ROOT_X_RATE] / speed, 0.0, 1.0)
        else:
            moving = linear_at_least(rows[:, SPEED], speed, speed / 2, 0.5)
        return stand * (5 * moving + 1) / 6

    def spin_signals(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The root's turning rate and the angular momentum around y."""
        return {"rooty_rate": rows[:, ROOT_TURN_RATE], "angular_momentum": rows[:, ANGULAR_MOMENTUM]}

    def track(self, rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Standing, times how close the speed is to the target, as dm_control's moving tasks weigh them."""
        moving = closeness(rows[:, SPEED] / self.target_context.speed_limit, targets)
        return _stand(rows) * (5 * moving + 1) / 6


def _stand(rows: np.ndarray) -> np.ndarray:
    standing = gaussian_at_least(rows[:, HEIGHT], STAND_HEIGHT, STAND_HEIGHT / 2)
    return (3 * standing + (1 + rows[:, UPRIGHT]) / 2) / 4
