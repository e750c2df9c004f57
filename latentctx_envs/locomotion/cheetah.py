"""The planar cheetah of dm_control's suite."""

from typing import ClassVar

import mujoco
import numpy as np

from latentctx_envs.context import Context
from latentctx_envs.locomotion.context import CheetahContext
from latentctx_envs.locomotion.task import LocomotionTask, random_joints
from latentctx_envs.suite import linear_at_least

RUN_SPEED = 10.0  # [m/s] from which running earns 1
SETTLING_STEPS = 200  # physics steps that let the cheetah fall into its start pose
JOINTS = 9  # rootx, rootz, rooty, then six of the legs
SPEED = 2 * JOINTS  # column of the horizontal velocity of the centre of mass


class CheetahTask(LocomotionTask):
    """Rows are positions (9) [m, rad], velocities (9) [m/s, rad/s], velocity of the centre of mass (3) [m/s]."""

    context_type: ClassVar[type[CheetahContext]] = CheetahContext
    domain: ClassVar[str] = "cheetah"
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
        """Positions, velocities and the suite's one sensor."""
        return data.qpos, data.qvel, data.sensordata

    def observe(self, kind: str, rows: np.ndarray) -> np.ndarray:
        """Positions without the root's x, which would tell how far it ran; for "state" velocities as well."""
        return rows[:, 1 : SPEED if kind == "state" else JOINTS].astype(np.float32)

    def reward(self, task: str, rows: np.ndarray) -> np.ndarray:
        """Speed of the centre of mass, from 0 at rest to 1 at 10 m/s."""
        return linear_at_least(rows[:, SPEED], RUN_SPEED, RUN_SPEED, 0.0)
