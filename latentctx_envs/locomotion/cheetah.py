"""The planar cheetah of dm_control's suite."""

from typing import ClassVar

import mujoco
import numpy as np

from latentctx_envs.context import Context
from latentctx_envs.locomotion.context import CheetahContext, CheetahTarget
from latentctx_envs.locomotion.task import LocomotionTask, closeness, random_joints
from latentctx_envs.suite import linear_at_least

RUN_SPEED = 10.0  # [m/s] from which running earns 1
SETTLING_STEPS = 200  # physics steps that let the cheetah fall into its start pose
JOINTS = 9  # rootx, rootz, rooty, then six of the legs
# columns of a row
ROOT_X_RATE, ROOT_TURN_RATE = JOINTS, JOINTS + 2
SPEED = 2 * JOINTS  # horizontal velocity of the centre of mass
ANGULAR_MOMENTUM = SPEED + 4  # around y


class CheetahTask(LocomotionTask):
    """Rows are positions (9) [m, rad], velocities (9), then velocity and angular momentum of the whole body (3, 3)."""

    task_context: ClassVar[type[CheetahContext]] = CheetahContext
    target_context: ClassVar[type[CheetahTarget]] = CheetahTarget
    domain: ClassVar[str] = "cheetah"
    native: ClassVar[tuple[str, ...]] = ("run",)
    sizes: ClassVar[dict[str, int]] = {"state": 2 * JOINTS - 1, "position": JOINTS - 1}
    render_fps: ClassVar[int] = 100

    def start(self, data: mujoco.MjData, context: Context, rng: np.random.Generator) -> None:
        """Limited joints anywhere in their range, then 200 steps without control, as in the suite."""
        mujoco.mj_resetData(self.model, data)
        mujoco.mj_forward(self.model, data)
        positions, where = random_joints(self.model, rng, hinges=False)
        data.qpos[where] = positions
        mujoco.mj_step2(self.model, data)  # with the forces of the pose before the draw: the suite does so
        mujoco.mj_step(self.model, data, SETTLING_STEPS - 1)
        mujoco.mj_step1(self.model, data)
        data.time = 0.0
        mujoco.mj_forward(self.model, data)

    def views(self, data: mujoco.MjData) -> tuple[np.ndarray, ...]:
        """Positions, velocities, the suite's one sensor, and what MuJoCo computes along with it."""
        return data.qpos, data.qvel, data.sensordata, data.subtree_angmom[1]

    def observe(self, kind: str, rows: np.ndarray) -> np.ndarray:
        """Positions without the root's x, which would tell how far it ran; for "state" velocities as well."""
        return rows[:, 1 : SPEED if kind == "state" else JOINTS].astype(np.float32)

    def reward(self, task: str, rows: np.ndarray) -> np.ndarray:
        """Forward speed of the centre of mass, or backward speed of the root (AIME), from 0 at rest to 1 at 10 m/s."""
        if task == "run":
            return linear_at_least(rows[:, SPEED], RUN_SPEED, RUN_SPEED, 0.0)
        return np.clip(-rows[:, ROOT_X_RATE] / RUN_SPEED, 0.0, 1.0)

    def spin_signals(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The root's turning rate and the angular momentum around y."""
        return {"rooty_rate": rows[:, ROOT_TURN_RATE], "angular_momentum": rows[:, ANGULAR_MOMENTUM]}

    def track(self, rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """How close the speed of the centre of mass is to the target, 0 at 10 m/s off."""
        return closeness(rows[:, SPEED] / self.target_context.speed_limit, targets)
