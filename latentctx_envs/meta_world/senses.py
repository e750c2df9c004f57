"""What a Sawyer task's observation and reward ask of MuJoCo, answered through views made once."""

import copy
import functools
import math

import mujoco
import numpy as np
from metaworld.sawyer_xyz_env import SawyerXYZEnv

from latentctx_envs.meta_world.named import NamedData, Names

FRAME = (
    18  # numbers of a frame: hand (3), opening of the gripper (1), of two objects position (3) and turn (4)
)
OPEN = 0.1  # distance of the claws that counts as fully open [m]
MODELS = 8  # compiled ones that are kept; each takes some megabytes


@functools.lru_cache(MODELS)
def _compiled(file: str) -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_path(file)


class Senses(SawyerXYZEnv):
    """Positions, contacts and observations."""

    def _initialize_simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        model = copy.copy(_compiled(self.fullpath))  # a twentieth of the time that compiling takes
        screen = model.vis.global_
        screen.offwidth = max(screen.offwidth, self.width)
        screen.offheight = max(screen.offheight, self.height)
        self._names = Names()
        data = NamedData(model, self._names)
        self._hand = data.body("hand").xpos
        self._claws = data.body("rightclaw").xpos, data.body("leftclaw").xpos
        self._fingers = data.site("rightEndEffector").xpos, data.site("leftEndEffector").xpos
        self._pads = data.geom("leftpad_geom").id, data.geom("rightpad_geom").id
        return model, data

    def get_endeff_pos(self) -> np.ndarray:
        """Position of the hand [m], (3,), a view."""
        return self._hand

    @property
    def tcp_center(self) -> np.ndarray:
        """The middle between the fingers [m], (3,)."""
        right, left = self._fingers
        return (right + left) / 2.0

    def touching_object(self, object_geom_id: int) -> bool:
        """Whether both pads press on the geom."""
        contact, forces = self.data.contact, self.data.efc_force
        rows = list(zip(contact.geom.tolist(), contact.efc_address.tolist(), strict=True))
        return all(
            sum(forces[row] for pair, row in rows if pad in pair and object_geom_id in pair) > 0
            for pad in self._pads
        )

    def _get_curr_obs_combined_no_goal(self) -> np.ndarray:
        frame = np.zeros(FRAME)
        right, left = self._claws
        gap = right - left
        frame[:3] = self._hand
        frame[3] = min(max(math.sqrt(gap.dot(gap)) / OPEN, 0.0), 1.0)
        positions, quaternions = self._get_pos_objects(), self._get_quat_objects()
        for index in range(len(positions) // 3):
            start = 4 + 7 * index
            frame[start : start + 3] = positions[3 * index : 3 * index + 3]
            frame[start + 3 : start + 7] = quaternions[4 * index : 4 * index + 4]
        return frame

    def _get_obs(self) -> np.ndarray:
        observation = np.zeros(2 * FRAME + 3)
        frame = self._get_curr_obs_combined_no_goal()
        observation[:FRAME] = frame
        observation[FRAME : 2 * FRAME] = self._prev_obs
        if not self._partially_observable:
            observation[2 * FRAME :] = self._get_pos_goal()
        self._prev_obs = frame
        return observation
