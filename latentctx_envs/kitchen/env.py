"""LatentCtx-Kitchen-v0: a robot in a kitchen whose hidden context is a sequence of four sub-tasks (arXiv 2305.16985)."""

import itertools
import math
from collections.abc import Sequence
from types import NoneType
from typing import Any

import mujoco
import numpy as np
from gymnasium import spaces

from latentctx_envs.context import Context
from latentctx_envs.env import VIEW_SIZE, LatentContextEnv
from latentctx_envs.kitchen.context import WANTED, KitchenContext
from latentctx_envs.kitchen.model import CAMERA, START, kitchen_limits, kitchen_model
from latentctx_envs.kitchen.states import PARTS, POSITIONS, VELOCITIES, parted, positions_of
from latentctx_envs.kitchen.subtasks import ROBOT, SUBTASKS, reached
from latentctx_envs.rendering import Renderer, RenderProfile
from latentctx_envs.settings import Settings, check_flag
from latentctx_envs.stored_state import get_state

IMAGE_SIZE = 120  # [pixels] of the authors' picture
SUBSTEPS = 40  # physics steps of 2 ms in a control step
DURATION = 0.08  # [s] of a control step
SPEED = 2.0  # [rad/s, m/s] of a joint that an action of 1 asks for
FPS = 12  # control steps a second, 12.5, rounded as upstream does


class KitchenEnv(LatentContextEnv):
    """A Franka arm in a kitchen with seven sub-tasks; the context is which four are wanted, in which order.

    Physics, goals and rewards are those of gymnasium-robotics' FrankaKitchen-v1, whose MJCF this is; nothing in the
    scene shows the context. Observations: "state" is upstream's (59): positions (9) and velocities (9) of the robot,
    positions (21) and velocities (20) of the objects. "position" is the positions alone (30). "pixels" is the authors'
    view. Actions: velocities of the nine joints, in [-1, 1] for 2 rad/s or m/s. Reward: how many wanted sub-tasks this
    step completed (each once, by true positions within 0.3 of the goal). Success: all four are done. Episodes end with
    success, or are truncated after 280 steps of 80 ms; they all start in the same state.

    Positions and velocities are observed with uniform noise, and a control step moves the joints from where they were
    observed, as upstream's does: noise changes what happens, too. The defaults are the paper's (D4RL's 0.1: up to 0.01
    rad at the robot's joints); upstream's are 0.01 and 0.0005.

    Args:
        subtasks: the one sequence that is wanted; None draws one of `context_split` for each episode.
        ordered: only the next sub-task of the sequence can be completed; else any, as the authors do.
        robot_noise_ratio: of the noise of the robot's configuration that is added to what is seen of the robot.
        object_noise_ratio: the same for the objects.
        noisy_pixels: draw the observed positions instead of the true ones, as the authors' evaluation did.
        render_mode: None or "rgb_array".
        settings: the fields of `latentctx_envs.settings.Settings`; `image_size` is 120, `camera` "authors" (others:
            "left_cap", "right_cap"), `terminate_on_success` True by default.

    Raises:
        ValueError: an argument is out of range, or there is no such sub-task or camera.
        ImportError: gymnasium-robotics is not installed.
    """

    def __init__(
        self,
        *,
        subtasks: Sequence[str] | None = None,
        ordered: bool = False,
        robot_noise_ratio: float = 0.1,
        object_noise_ratio: float = 0.1,
        noisy_pixels: bool = False,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        if settings.pop("context_visible", False):
            raise ValueError("the kitchen's pictures cannot show its context: leave context_visible=False.")
        defaults = {"image_size": IMAGE_SIZE, "camera": CAMERA, "terminate_on_success": True}
        super().__init__(
            Settings.of({**defaults, **settings}),
            context_type=KitchenContext,
            vector_spaces={
                "state": spaces.Box(-np.inf, np.inf, (POSITIONS + VELOCITIES,), np.float32),
                "position": spaces.Box(-np.inf, np.inf, (POSITIONS,), np.float32),
            },
            action_space=spaces.Box(-1.0, 1.0, (ROBOT,), np.float32),
            render_fps=FPS,
            render_mode=render_mode,
            splits=None if subtasks is None else ("all",),
        )
        for name, flag in {"ordered": ordered, "noisy_pixels": noisy_pixels}.items():
            check_flag(name, flag)
        if not isinstance(subtasks, (Sequence, NoneType)):
            raise ValueError(f"subtasks must be a sequence of four sub-tasks, or None; got {subtasks!r}.")
        self._fixed = None if subtasks is None else KitchenContext(tuple(subtasks))
        self._ordered, self._noisy_pixels = ordered, noisy_pixels
        ratios = np.full(POSITIONS + VELOCITIES, _ratio("object_noise_ratio", object_noise_ratio))
        ratios[:ROBOT] = ratios[POSITIONS:][:ROBOT] = _ratio("robot_noise_ratio", robot_noise_ratio)
        self._noise = ratios * kitchen_limits().noise
        self._sequence: tuple[str, ...] = ()
        self._completed: tuple[str, ...] = ()
        self._seen = np.concatenate(
            [START, np.zeros(VELOCITIES)]
        )  # positions and velocities, with their noise
        self._shown = START  # positions that are drawn
        self._make_physics()
        self._eye()  # refuses a camera that is not there

    def _make_physics(self) -> None:
        self._physics = mujoco.MjData(kitchen_model())
        self._picture = mujoco.MjData(kitchen_model())  # drawing never touches the physics
        self._renderers: dict[bool, Renderer] = {}

    @property
    def completed(self) -> tuple[str, ...]:
        """The wanted sub-tasks that were completed in this episode, in that order (privileged).

        A restored state does not tell what happened before it: those at their goal in it count as completed, without
        reward and in the order of the sequence.
        """
        return self._completed

    def draw_context(self, rng: np.random.Generator) -> Context:
        """A context that an episode may have, drawn from `rng`; with fixed sub-tasks always theirs."""
        drawn = KitchenContext.sample(rng, self.settings.context_split)
        return self._fixed or drawn  # a seed gives the same start either way

    def check_context(self, context: Context) -> None:
        """Refuse another sequence than the fixed one."""
        if self._fixed is not None and context != self._fixed:
            raise ValueError(
                f"the only context of this world is {self._fixed.to_dict()}; got {context.to_dict()}."
            )

    def position_of(self, states: np.ndarray) -> np.ndarray:
        """The positions of robot and objects, float32 (n, 30) of (n, 59)."""
        return positions_of(states)

    def physics_state(self) -> np.ndarray:
        """What decides the rest of the episode but for noise and `completed`, float64 (147,).

        Positions (30), velocities (29) and the solver's warm start (29), then what was observed of positions and
        velocities (59): the next control starts there.
        """
        return np.concatenate([self._simulated(), self._seen])

    def close(self) -> None:
        """Free the renderers; calling it twice does no harm."""
        for renderer in self._renderers.values():
            renderer.close()

    def __getstate__(self) -> dict[str, Any]:
        """Everything but physics and renderers, which a copy makes for itself, and the state of the physics."""
        made = {"_physics": None, "_picture": None, "_renderers": {}}
        return {**self.__dict__, **made, "simulated": self._simulated()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        simulated = state.pop("simulated")
        self.__dict__.update(state)
        self._make_physics()
        mujoco.mj_setState(self._physics.model, self._physics, simulated, PARTS)

    @property
    def _data(self) -> mujoco.MjData:
        self._picture.qpos[:] = self._shown
        mujoco.mj_kinematics(self._picture.model, self._picture)
        mujoco.mj_comPos(self._picture.model, self._picture)
        mujoco.mj_camlight(self._picture.model, self._picture)
        return self._picture

    def _start(self, context: Context) -> None:
        assert isinstance(context, KitchenContext)
        self._sequence, self._completed = context.subtasks, ()
        mujoco.mj_resetData(self._physics.model, self._physics)
        self._physics.qpos[:] = START
        mujoco.mj_forward(self._physics.model, self._physics)
        self._sense()

    def _restore(self, state: np.ndarray) -> None:
        simulated, seen = parted(state)
        mujoco.mj_setState(self._physics.model, self._physics, simulated, PARTS)
        self._seen, self._shown = seen, self._drawn(simulated, seen)
        self._completed = self._reached()

    def _pose(self, state: np.ndarray, context: Context) -> None:
        self._shown = self._drawn(*parted(state))

    def _control(self, controls: np.ndarray) -> tuple[float, bool]:
        assert isinstance(self.current_context, KitchenContext)  # refuses a step before a reset
        limits = kitchen_limits()
        # from where the joints were seen: upstream's, and D4RL's, way to turn velocities into targets
        targets = self._seen[:ROBOT] + SPEED * controls[0] * DURATION
        self._physics.ctrl[:] = np.minimum(np.maximum(targets, limits.low), limits.high)
        mujoco.mj_step(self._physics.model, self._physics, nstep=SUBSTEPS)
        self._sense()
        fresh = self._reached()
        self._completed += fresh
        return float(len(fresh)), self._succeeds()

    def _sense(self) -> None:
        """Observe positions and velocities once, with fresh noise."""
        true = np.concatenate([self._physics.qpos, self._physics.qvel])
        self._seen = true + self._noise * self.np_random.uniform(-1.0, 1.0, true.shape)
        self._shown = self._drawn(true, self._seen)

    def _drawn(self, true: np.ndarray, seen: np.ndarray) -> np.ndarray:
        return (seen if self._noisy_pixels else true)[:POSITIONS]

    def _reached(self) -> tuple[str, ...]:
        """The wanted sub-tasks that are not completed yet and at their goal."""
        near = dict(zip(SUBTASKS, reached(self._physics.qpos), strict=True))
        left = [name for name in self._sequence if name not in self._completed]
        choose = itertools.takewhile if self._ordered else filter
        return tuple(choose(near.__getitem__, left))

    def _succeeds(self) -> bool:
        return len(self._completed) == WANTED

    def _simulated(self) -> np.ndarray:
        return get_state(self._physics.model, self._physics, PARTS)

    def _vector(self, kind: str) -> np.ndarray:
        seen = self._seen.astype(np.float32)
        positions, velocities = seen[:POSITIONS], seen[POSITIONS:]
        parts = (positions[:ROBOT], velocities[:ROBOT], positions[ROBOT:], velocities[ROBOT:])
        state = np.concatenate(parts)[None]
        return self.position_of(state) if kind == "position" else state

    def _eye(self) -> Renderer:
        settings = self.settings
        return self._renderer(False, settings.frame_shape[:2], settings.render_profile)

    def _viewer(self) -> Renderer:
        return self._renderer(True, VIEW_SIZE, "fast")

    def _renderer(self, viewer: bool, size: tuple[int, int], profile: RenderProfile) -> Renderer:
        if viewer not in self._renderers:
            self._renderers[viewer] = Renderer(
                kitchen_model(), size=size, camera=self.settings.camera, profile=profile
            )
        return self._renderers[viewer]


def _ratio(name: str, value: float) -> float:
    if not isinstance(value, (int, float)) or not 0.0 <= value < math.inf:
        raise ValueError(f"{name} must be a finite number from 0; got {value!r}.")
    return float(value)
