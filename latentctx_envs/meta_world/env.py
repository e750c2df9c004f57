"""LatentCtx-MetaWorld-v0, -PickPlace-v0 and -Door-v0: Sawyer tasks whose goal or task is hidden (arXiv 2305.16985)."""

from collections.abc import Sequence
from types import NoneType
from typing import Any

import mujoco
import numpy as np
from gymnasium import spaces

from latentctx_envs.context import Context, Split
from latentctx_envs.env import VIEW_SIZE, LatentContextEnv
from latentctx_envs.meta_world import resets
from latentctx_envs.meta_world.context import GOAL, MetaWorldContext
from latentctx_envs.meta_world.engine import Sawyer, make_sawyer
from latentctx_envs.meta_world.senses import FRAME
from latentctx_envs.meta_world.splits import TASKS, TWICE, tasks_of
from latentctx_envs.rendering import Renderer, RenderProfile, Window
from latentctx_envs.settings import Settings, check_flag, is_number

IMAGE_SIZE = 120  # [pixels] of the authors' window
CAMERA_INDEX = 2  # of CAMERA, in every task
CAMERA = (
    "corner2"  # rolled half around: its picture is shown upside down, and so mirrored, as the authors saw it
)
PICTURE = (240, 320)  # [pixels] that the window is cut from
WINDOW = (80, 200)  # [pixels] rows and columns of the window
LIVE_RENDERERS = 12  # of different tasks; each takes about 100 MB, and a tenth of a second to make again
FPS = 80  # control steps a second: five physics steps of 2.5 ms


class MetaWorldEnv(LatentContextEnv):
    """A Sawyer arm at a table; the context is the task, and where objects and goal are.

    Observations: "state" is upstream's (39): of now and of the step before, hand (3), opening of the gripper (1) and
    two objects' position and turn (14), then the goal (3; zeros where it is hidden). "position" is hand and opening
    (4), the goal (3) unless it is hidden, and the objects (14), of now. "pixels" is the authors' window, 120 px.
    Actions: a move of the hand (3) and the pull of the fingers, in [-1, 1]. Reward and success are upstream's (reward
    0 to 10). Episodes end with success, or are truncated after 250 steps of 12.5 ms.

    A task has no splits of its own: with several tasks, `context_split` "train" are those to pretrain on and "test"
    those to finetune on; random vectors are drawn anew for every episode, from the environment's seeded generator.

    Args:
        task: the only task, such as "drawer-open-v3".
        tasks: instead of `task`, the name of a set of `splits.TASK_SETS` ("ml45", the default, "r3m", "door", ...) or a
            list of tasks to draw from.
        goal_visible: sites named after the goal are drawn, and the goal is part of "state" and "position".
        hand_jitter: half the side of the cube around its usual place in which the hand starts [m].
        opening_action: a random action is taken before the first observation, as the authors do.
        window: with the camera "corner2", the authors' part of its picture; else all of it. Both are upright.
        camera_position: [m] where the camera stands instead of where it does; it looks the same way.
        frozen_goal: keep the first context that was drawn, as the authors' evaluation did by mistake.
        twice: draw the three tasks that the authors' list names twice as often.
        render_mode: None or "rgb_array".
        render_context: draw the goal in `render()`, for the viewer only.
        settings: the fields of `latentctx_envs.settings.Settings`; `image_size` is 120, `camera` "corner2",
            `terminate_on_success` True by default.

    Raises:
        ValueError: an argument is out of range, or there is no such task, set or camera.
    """

    context_shapes_start = True
    shows_context = True
    goal_in_state = True

    def __init__(
        self,
        *,
        task: str | None = None,
        tasks: str | Sequence[str] | None = None,
        goal_visible: bool = True,
        hand_jitter: float = 0.05,
        opening_action: bool = True,
        window: bool = True,
        camera_position: Sequence[float] | None = None,
        frozen_goal: bool = False,
        twice: bool = False,
        render_mode: str | None = None,
        render_context: bool = False,
        **settings: Any,
    ) -> None:
        defaults = {"image_size": IMAGE_SIZE, "camera": CAMERA, "terminate_on_success": True}
        given = {**defaults, **settings}
        if given["camera"] == CAMERA_INDEX:  # the picture of this camera is drawn in a way of its own
            given["camera"] = CAMERA
        checked = Settings.showing(goal_visible, given)
        self._tasks = _choice(task, tasks, checked.context_split)
        self._known = _choice(task, tasks, "all")  # that a context may name
        if not is_number(hand_jitter) or not 0.0 <= hand_jitter <= 0.1:
            raise ValueError(f"hand_jitter must lie in [0, 0.1] m; got {hand_jitter!r}.")
        flags = {
            "opening_action": opening_action,
            "window": window,
            "frozen_goal": frozen_goal,
            "twice": twice,
        }
        for name, flag in {**flags, "render_context": render_context}.items():
            check_flag(name, flag)
        weights = np.array([2.0 if twice and name in TWICE else 1.0 for name in self._tasks])
        self._shares = weights / weights.sum()
        self._jitter, self._opening_action = hand_jitter, opening_action
        self._window, self._frozen = window, frozen_goal
        self._camera_position = _position(camera_position)
        self._goal_visible, self._goal_rendered = goal_visible, goal_visible or render_context
        super().__init__(
            checked,
            context_type=MetaWorldContext,
            vector_spaces={
                "state": spaces.Box(-np.inf, np.inf, (GOAL + 3,), np.float32),
                "position": spaces.Box(-np.inf, np.inf, (FRAME + 3 * goal_visible,), np.float32),
            },
            action_space=spaces.Box(-1.0, 1.0, (4,), np.float32),
            render_fps=FPS,
            render_mode=render_mode,
            splits=None if task is None and isinstance(tasks, str | None) else ("all",),
        )
        self._engines: dict[str, Sawyer] = {}
        self._renderers: dict[tuple[str, bool], Renderer] = {}
        self._kept: Context | None = None  # of a frozen goal
        self._arranged: MetaWorldContext | None = None  # whose bodies are in place
        self._offset: np.ndarray | None = None  # of the hand's start
        self._now = np.zeros(GOAL + 3)  # upstream's observation
        self._success = False
        self._engine = self._engine_of(self._tasks[0])
        self._eye_of(self._engine, viewer=False)  # refuses a camera that is not there

    def draw_context(self, rng: np.random.Generator) -> Context:
        """A context that an episode may have, drawn from `rng`; with a frozen goal always the first."""
        task = self._tasks[int(rng.choice(len(self._tasks), p=self._shares))]
        # drawn also where one is kept: a seed gives the same start either way
        drawn = MetaWorldContext.of_task(task, rng)
        if self._kept is None or not self._frozen:
            self._kept = drawn
        return self._kept

    def check_context(self, context: Context) -> None:
        """Refuse a task that this world does not have."""
        assert isinstance(context, MetaWorldContext)
        if context.task not in self._known:
            raise ValueError(f"this environment has {', '.join(self._known)}; got {context.task!r}.")

    def position_of(self, states: np.ndarray) -> np.ndarray:
        """Hand and opening (4), the goal (3) unless it is hidden, the objects (14): float32 (n, 21 or 18) of (n, 39)."""
        if not self._goal_visible:
            return states[:, :FRAME]
        return np.concatenate([states[:, :4], states[:, GOAL:], states[:, 4:FRAME]], axis=1)

    def physics_state(self) -> np.ndarray:
        """What differs between two moments of an episode, float64 (k,); k depends on the task."""
        return self._engine.physics_state(resets.LEAST)

    def close(self) -> None:
        """Free the renderers; calling it twice does no harm."""
        for renderer in self._renderers.values():
            renderer.close()

    def __getstate__(self) -> dict[str, Any]:
        """Everything but engines and renderers, which a copy makes for itself, and the state of the physics."""
        kept = (self._engine.physics_state(), self._engine.notes) if self._arranged is not None else None
        return {**self.__dict__, "_engine": None, "_engines": {}, "_renderers": {}, "kept": kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        kept, now = state.pop("kept"), state["_now"]
        self.__dict__.update(state)
        self._engine = self._engine_of(self._tasks[0])
        if self._arranged is not None and kept is not None:
            self._arrange(self._arranged, self._offset)
            self._engine.set_physics_state(kept[0])
            self._engine.notes = kept[1]
            self._now = now

    @property
    def _data(self) -> mujoco.MjData:
        return self._engine.data

    def _engine_of(self, task: str) -> Sawyer:
        if task not in self._engines:
            engine = self._engines[task] = make_sawyer(task)
            cameras = [engine.model.camera(index).name for index in range(engine.model.ncam)]
            known = self.settings.camera in (*cameras, *range(len(cameras)))  # the renderer refuses others
            if self._camera_position is not None and known:
                engine.model.camera(self.settings.camera).pos = self._camera_position
        return self._engines[task]

    def _start(self, context: Context) -> None:
        assert isinstance(context, MetaWorldContext)
        offset = self.np_random.uniform(-self._jitter, self._jitter, 3) if self._jitter else None
        opening = self.np_random.uniform(-1.0, 1.0, 4) if self._opening_action else None
        self._arrange(context, offset)
        self._success = False
        if opening is not None:
            self._control(opening.astype(np.float32)[None])

    def _arrange(self, context: MetaWorldContext, offset: np.ndarray | None = None) -> None:
        """Put bodies and goal of a context in their places, the hand to its start."""
        self.check_context(context)
        self._engine = self._engine_of(context.task)
        self._arranged, self._offset = None, offset
        self._now, _ = self._engine.reset(rand_vec=np.array(context.vector), hand_offset=offset)
        self._arranged = context

    def _restore(self, state: np.ndarray) -> None:
        self._engine.set_physics_state(state, resets.LEAST)
        self._now = self._engine._get_obs()
        self._success = self._engine.succeeds(self._now)

    def _pose(self, state: np.ndarray, context: Context) -> None:
        assert isinstance(context, MetaWorldContext)
        if context != self._arranged or self._engine is not self._engine_of(context.task):
            self._arrange(context)
        self._engine.set_physics_state(state, resets.LEAST)

    def _control(self, controls: np.ndarray) -> tuple[float, bool]:
        action = controls[0]
        self._engine.command(action)
        self._engine.advance()
        self._now, reward, _, _, info = self._engine.outcome(action)
        self._success = bool(info["success"])
        return float(reward), self._success

    def _succeeds(self) -> bool:
        return self._success

    def _vector(self, kind: str) -> np.ndarray:
        state = self._now.astype(np.float32)[None]
        if not self._goal_visible:
            state[:, GOAL:] = 0.0
        return self.position_of(state) if kind == "position" else state

    def _eye(self) -> Renderer:
        return self._eye_of(self._engine, viewer=False)

    def _viewer(self) -> Renderer:
        return self._eye_of(self._engine, viewer=True)

    def _eye_of(self, engine: Sawyer, *, viewer: bool) -> Renderer:
        key = engine.task, viewer
        if key in self._renderers:
            self._renderers[key] = self._renderers.pop(key)  # the last used stands last
        else:
            while len(self._renderers) >= LIVE_RENDERERS:
                self._renderers.pop(next(iter(self._renderers))).close()
            self._renderers[key] = self._new_renderer(engine, viewer=viewer)
        return self._renderers[key]

    def _new_renderer(self, engine: Sawyer, *, viewer: bool) -> Renderer:
        settings = self.settings
        size = VIEW_SIZE if viewer else settings.frame_shape[:2]
        profile: RenderProfile = "fast" if viewer else settings.render_profile
        shown = self._goal_rendered if viewer else self._goal_visible
        return Renderer(
            engine.model,
            size=size,
            camera=settings.camera,
            profile=profile,
            hidden_sites=() if shown else goal_sites(engine.model),
            window=self._window_of(size),
        )

    def _window_of(self, size: tuple[int, int]) -> Window | None:
        if self.settings.camera != CAMERA:
            return None
        return authors_window() if self._window else whole_picture(size)


class PickPlaceEnv(MetaWorldEnv):
    """Pick a puck up and bring it to a goal that nothing shows; the context is where puck and goal are.

    Args:
        settings: those of `MetaWorldEnv`; `goal_visible` is False by default.
    """

    def __init__(self, **settings: Any) -> None:
        chosen = {} if settings.get("tasks") else {"task": "pick-place-v3"}
        super().__init__(**{**chosen, "goal_visible": False, **settings})


class DoorEnv(MetaWorldEnv):
    """Open, close, lock or unlock a door; the context is which of them, and where the door is.

    Args:
        settings: those of `MetaWorldEnv`; the split "train" are unlocking, closing and opening, "test" is locking.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**({} if settings.get("task") else {"tasks": "door"}), **settings})


def goal_sites(model: mujoco.MjModel) -> tuple[str, ...]:
    """Names of the sites that show a goal."""
    names = [model.site(index).name for index in range(model.nsite)]
    return tuple(name for name in names if "goal" in name)


def authors_window() -> Window:
    """The part of the camera's picture that the paper's encoders saw, upright."""
    return Window(picture=PICTURE, rows=WINDOW, columns=WINDOW, upside_down=True)


def whole_picture(size: tuple[int, int]) -> Window:
    """All that the camera "corner2" sees, upright, in a picture of (height, width) pixels."""
    height, width = size
    return Window(picture=size, rows=(0, height), columns=(0, width), upside_down=True)


def _position(camera_position: Sequence[float] | None) -> np.ndarray | None:
    if camera_position is None:
        return None
    try:
        position = np.array(camera_position, dtype=np.float64)
    except (TypeError, ValueError):
        position = np.zeros(0)
    if position.shape != (3,) or not np.isfinite(position).all():
        raise ValueError(f"camera_position must be three finite numbers [m]; got {camera_position!r}.")
    return position


def _choice(task: str | None, tasks: str | Sequence[str] | None, split: Split) -> tuple[str, ...]:
    """The tasks that contexts are drawn from."""
    if task is not None and tasks is not None:
        raise ValueError(f"name one task or several tasks, not both; got task={task!r}, tasks={tasks!r}.")
    if task is None and tasks is None:
        tasks = "ml45"
    if isinstance(tasks, str):
        return tasks_of(tasks, split)
    if not isinstance(tasks, (Sequence, NoneType)):
        raise ValueError(f"tasks must be the name of a set or a sequence of tasks; got {tasks!r}.")
    chosen = (task,) if task is not None else tuple(tasks or ())
    unknown = [name for name in chosen if name not in TASKS]
    if unknown or not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"tasks must be different ones of {', '.join(TASKS)}; got {list(chosen)}.")
    return chosen
