"""A walled tray with three objects and a gripper that wanders about and pushes them: one clip at a time.

x points to the right of the picture, y away from the camera, z up; the tray's floor is z = 0, its middle the origin.
The gripper hangs from three slides and a hinge, each with a position servo. An action (dx, dy, dz, dyaw), each in
[-1, 1], moves the servos' target by `STRIDE` times itself; the target moves evenly within the tenth of a second between
two frames.
"""

import mujoco
import numpy as np

from latentctx_datasets.videos.clips import Clip
from latentctx_envs.rendering import Renderer, RenderProfile

FRAMES = 30  # of a clip, as BAIR's robot pushing (arXiv 1710.05268)
IMAGE_SIZE = 64  # [pixels] side of a frame, as there
INTERVAL = 0.1  # [s] between two frames, as there
PROFILE: RenderProfile = "fast"  # with shadows, which show the gripper's height
ACTION = 4
STRIDE = np.array([0.06, 0.06, 0.02, 0.35])  # [m, m, m, rad] of the target in one frame at an action of 1
LOW = np.array([-0.19, -0.19, 0.0, -1.4])  # [m, m, m, rad] of the target
HIGH = np.array([0.19, 0.19, 0.06, 1.4])
KEPT, NOISE = 0.7, 0.5  # of an action from frame to frame, and what is added to it (standard deviation)
SETTLING = 0.2  # [s] before the first frame
GAP = 0.1  # [m] between the middles of two things at the start
TRIES = 100  # clips that are begun until one is sound
PALETTE = (
    (0.85, 0.12, 0.12),  # red
    (0.15, 0.65, 0.20),  # green
    (0.15, 0.30, 0.85),  # blue
    (0.95, 0.55, 0.10),  # orange
    (0.60, 0.20, 0.70),  # purple
    (0.10, 0.70, 0.75),  # turquoise
)
OBJECTS = ("box", "cylinder", "sphere")
HAND = ("hand_x", "hand_y", "hand_z", "hand_yaw")
UNSOUND = (
    mujoco.mjtWarning.mjWARN_BADQPOS,
    mujoco.mjtWarning.mjWARN_BADQVEL,
    mujoco.mjtWarning.mjWARN_BADQACC,
)
SCENE = """
<mujoco model="push">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="0.004" integrator="implicitfast" cone="elliptic" impratio="5"/>
  <visual><headlight ambient=".45 .45 .45" diffuse=".35 .35 .35" specular="0 0 0"/></visual>
  <default>
    <default class="wall"><geom type="box" rgba=".45 .36 .28 1"/></default>
    <default class="object"><geom density="250" friction=".5 .01 .002" condim="6" rgba=".5 .5 .5 1"/></default>
    <default class="hand"><geom type="box" mass=".2" friction=".6 .01 .001" rgba=".97 .95 .88 1"/></default>
    <default class="slide"><joint type="slide" damping="5" armature=".2"/></default>
    <default class="servo"><position kp="3000" dampratio="1" forcerange="-120 120"/></default>
  </default>
  <worldbody>
    <light pos=".1 -.2 1.2" dir="-.05 .15 -1" diffuse=".5 .5 .5" specular="0 0 0"/>
    <camera name="front" pos="0 -.46 .50" xyaxes="1 0 0 0 .755 .655" fovy="46"/>
    <geom name="floor" type="plane" size="1.5 1.5 .1" rgba=".30 .33 .37 1"/>
    <geom class="wall" pos="-.26 0 .02" size=".01 .27 .03"/>
    <geom class="wall" pos=".26 0 .02" size=".01 .27 .03"/>
    <geom class="wall" pos="0 -.26 .02" size=".25 .01 .03"/>
    <geom class="wall" pos="0 .26 .02" size=".25 .01 .03"/>
    <body name="box" pos="-.1 .1 .032"><freejoint/>
      <geom name="box" class="object" type="box" size=".034 .034 .032"/></body>
    <body name="cylinder" pos=".1 .1 .032"><freejoint/>
      <geom name="cylinder" class="object" type="cylinder" size=".034 .032"/></body>
    <body name="sphere" pos="0 -.1 .035"><freejoint/>
      <geom name="sphere" class="object" type="sphere" size=".035"/></body>
    <body name="hand" pos="0 0 .075" gravcomp="1">
      <joint name="hand_x" class="slide" axis="1 0 0"/>
      <joint name="hand_y" class="slide" axis="0 1 0"/>
      <joint name="hand_z" class="slide" axis="0 0 1"/>
      <joint name="hand_yaw" axis="0 0 1" damping=".05" armature=".003"/>
      <geom class="hand" size=".056 .022 .016"/>
      <geom class="hand" type="cylinder" size=".016 .05" pos="0 0 .06" rgba=".75 .75 .72 1"/>
      <geom class="hand" size=".011 .018 .03" pos="-.045 0 -.042"/>
      <geom class="hand" size=".011 .018 .03" pos=".045 0 -.042" rgba=".95 .80 .15 1"/>
    </body>
  </worldbody>
  <actuator>
    <position name="hand_x" class="servo" joint="hand_x"/>
    <position name="hand_y" class="servo" joint="hand_y"/>
    <position name="hand_z" class="servo" joint="hand_z"/>
    <position name="hand_yaw" joint="hand_yaw" kp="12" dampratio="1" forcerange="-4 4"/>
  </actuator>
</mujoco>
"""


class PushScene:
    """Makes clips; each depends on seed and number alone, not on those made before it.

    Its labels are the actions, float32 (29, 4), and where the gripper was, float32 (30, 4): x, y [m], z [m], which is 0
    with the fingers at their lowest, and yaw [rad].
    """

    def __init__(self) -> None:
        self.model = mujoco.MjModel.from_xml_string(SCENE)
        self.data = mujoco.MjData(self.model)
        self._renderer = Renderer(self.model, size=(IMAGE_SIZE, IMAGE_SIZE), camera="front", profile=PROFILE)
        self._substeps = round(INTERVAL / self.model.opt.timestep)
        self._hand = [int(self.model.joint(name).qposadr[0]) for name in HAND]
        self._objects = [int(self.model.body(name).jntadr[0]) for name in OBJECTS]

    def clip(self, seed: int, number: int) -> Clip:
        """The clip of this number; attempts in which the physics fail are thrown away.

        Args:
            seed: of the whole set.
            number: of the clip within it.

        Raises:
            RuntimeError: every attempt failed.
        """
        for attempt in range(TRIES):
            clip = self._attempt(np.random.default_rng([seed, number, attempt]))
            if clip is not None:
                return clip
        raise RuntimeError(f"clip {number} of seed {seed}: none of {TRIES} attempts was sound.")

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.close()

    def object_places(self) -> np.ndarray:
        """Where box, cylinder and sphere are now, float64 (3, 3) [m]."""
        return np.stack([self.data.body(name).xpos for name in OBJECTS])

    def _attempt(self, rng: np.random.Generator) -> Clip | None:
        """One clip, or None if it is not sound."""
        self._place(rng)
        target = self.data.ctrl.copy()
        action = rng.normal(0.0, NOISE, ACTION)
        frames, hands, actions = [self._frame()], [self.data.qpos[self._hand].copy()], []
        for _ in range(FRAMES - 1):
            action = np.clip(KEPT * action + rng.normal(0.0, NOISE, ACTION), -1.0, 1.0)
            beyond = (target + STRIDE * action < LOW) | (target + STRIDE * action > HIGH)
            action[beyond] *= -1.0  # turn round at an edge
            self._move(target, target + STRIDE * action)
            target = target + STRIDE * action
            actions.append(action)
            frames.append(self._frame())
            hands.append(self.data.qpos[self._hand].copy())
        if not self._sound():
            return None
        return Clip(
            np.stack(frames), np.stack(actions).astype(np.float32), np.stack(hands).astype(np.float32)
        )

    def _place(self, rng: np.random.Generator) -> None:
        """Draw colours and places of the objects and the gripper, and let the objects come to rest."""
        mujoco.mj_resetData(self.model, self.data)
        for name, colour in zip(OBJECTS, rng.permutation(len(PALETTE))[: len(OBJECTS)], strict=True):
            self._renderer.model.geom(name).rgba[:3] = PALETTE[colour]
        places = _apart(rng, len(OBJECTS) + 1)
        for joint, place, angle in zip(
            self._objects, places, rng.uniform(0, np.pi, len(OBJECTS)), strict=False
        ):
            start = int(self.model.jnt_qposadr[joint])
            self.data.qpos[start : start + 2] = place
            self.data.qpos[start + 3 : start + 7] = np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)
        hand = np.concatenate([places[-1], rng.uniform(LOW[2:], HIGH[2:])])
        self.data.qpos[self._hand] = self.data.ctrl[:] = hand
        mujoco.mj_step(self.model, self.data, round(SETTLING / self.model.opt.timestep))

    def _move(self, start: np.ndarray, end: np.ndarray) -> None:
        for step in range(1, self._substeps + 1):
            self.data.ctrl[:] = start + (end - start) * (step / self._substeps)
            mujoco.mj_step(self.model, self.data)

    def _frame(self) -> np.ndarray:
        mujoco.mj_forward(self.model, self.data)
        return self._renderer.render(self.data)

    def _sound(self) -> bool:
        """Whether the physics never failed and every object is still in the tray."""
        warned = any(self.data.warning[kind].number for kind in UNSOUND)
        places = self.object_places()
        return not warned and bool((np.abs(places[:, :2]) < 0.25).all() and (places[:, 2] > 0.0).all())


def _apart(rng: np.random.Generator, count: int) -> np.ndarray:
    """Random places of the tray that are at least `GAP` from each other, float64 (count, 2) [m]."""
    places: list[np.ndarray] = []
    while len(places) < count:
        place = rng.uniform(LOW[:2], HIGH[:2])
        if all(np.linalg.norm(place - other) >= GAP for other in places):
            places.append(place)
    return np.stack(places)
