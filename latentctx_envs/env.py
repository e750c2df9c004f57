"""LatentContextEnv: a Gymnasium environment whose context is hidden from the learner."""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import mujoco
import numpy as np

from latentctx_envs import episode
from latentctx_envs.batch import Batch
from latentctx_envs.context import Context
from latentctx_envs.observation import Observer
from latentctx_envs.rendering import Renderer
from latentctx_envs.settings import Settings
from latentctx_envs.task import Task

VIEW_SIZE = (256, 256)  # [pixels] of `render()`, the viewer's picture


class LatentContextEnv(gym.Env[Any, np.ndarray]):
    """One task with a hidden context, the base of every family's environment.

    `reset(options={"context": c})` pins the context (a `Context` or its dict); without it one is drawn from
    `settings.context_split` with the environment's own seeded generator. `reset(options={"physics_state": s})`
    starts from a stored state. `info` always holds `success` and `is_success` (bool, of this step) and `context`
    (a dict of plain values, privileged).

    Args:
        task: physics, observations, reward and success.
        settings: what is observed, the contexts, how actions are executed.
        render_mode: None or "rgb_array", the 256 px picture of `render()`.
        render_context: draw the hidden context in `render()`, for the viewer only.

    Raises:
        ValueError: `render_mode` is unknown or the camera does not exist.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}

    def __init__(
        self,
        task: Task,
        settings: Settings,
        *,
        render_mode: str | None = None,
        render_context: bool = False,
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be None or 'rgb_array'; got {render_mode!r}.")
        self.metadata = {**self.metadata, "render_fps": task.render_fps / settings.action_repeat}
        self.task = task
        self.settings = settings
        self.render_mode = render_mode
        self._observer = Observer(task, settings)
        self.observation_space = self._observer.space
        self.action_space = copy.deepcopy(task.action_space)
        self._eye = observation_renderer(task, settings)
        self._viewer = Renderer(
            task.model,
            size=VIEW_SIZE,
            camera=settings.camera,
            profile="fast",
            visible_geoms=task.context_geoms if settings.context_visible or render_context else (),
        )
        self._batch = Batch(task, 1, threads=1)
        self._context: Context | None = None

    @property
    def _data(self) -> mujoco.MjData:
        return self._batch.datas[0]

    @property
    def current_context(self) -> Context:
        """The context of the running episode (privileged)."""
        if self._context is None:
            raise RuntimeError("no episode is running: call reset() first.")
        return self._context

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode; the class names the options."""
        super().reset(seed=seed)
        checked = episode.check_options(options, episode.RESET_OPTIONS)
        self._context = episode.start_episode(self.task, self._data, self.np_random, self.settings, checked)
        rows, contexts = self._rows()
        _, successes = self.task.judge(rows, contexts)
        return self._observe(rows, contexts), self._info(bool(successes[0]))

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Apply one action for `action_repeat` control steps; a success in any of them counts."""
        checked = episode.check_action(action, self.task.action_space.shape)[None]
        space, noise = self.task.action_space, self.settings.noise_scale
        reward, success = 0.0, False
        rows, contexts = self._rows()
        sums = bool(self.task.accumulates(contexts)[0])
        for _ in range(self.settings.action_repeat):
            self._batch.step(episode.executed(checked, space, [self.np_random], noise))
            rows = self._batch.rows()
            rewards, successes = self.task.judge(rows, contexts)
            reward = reward * sums + float(rewards[0])
            success |= bool(successes[0])
        terminated = success and self.settings.terminate_on_success
        return self._observe(rows, contexts), reward, terminated, False, self._info(success)

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """The viewer's picture, uint8 (256, 256, 3), or None without a render mode."""
        return self._viewer.render(self._data) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free the renderers; calling it twice does no harm."""
        self._eye.close()
        self._viewer.close()

    def physics_state(self) -> np.ndarray:
        """The full physics state, float64 (k,); `reset(options={"physics_state": s})` restores it."""
        return episode.physics_state(self.task, self._data)

    def frame(
        self,
        state: np.ndarray,
        context: Context | Mapping[str, Any],
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """What the observing camera sees of a stored physics state; it ends the running episode.

        Args:
            state: a `physics_state()`, float64 (k,).
            context: the context of that episode.
            out: uint8 (h, w, 3) to write into; by default a new array.
        """
        self._context = None
        self.task.place_context(self._data, self.task.context_type.coerce(context))
        episode.restore(self.task, self._data, state)
        return self._eye.render(self._data, out=out)

    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        return self._batch.rows(), self.current_context.as_array()[None]

    def _observe(self, rows: np.ndarray, contexts: np.ndarray) -> Any:
        batch = self._observer.observe(rows, contexts, lambda: self._eye.render(self._data)[None])
        if isinstance(batch, dict):
            return {key: value[0] for key, value in batch.items()}
        return batch[0]

    def _info(self, success: bool) -> dict[str, Any]:
        context = self.current_context.to_dict()
        return {"success": success, "is_success": success, "context": context}


def observation_renderer(task: Task, settings: Settings) -> Renderer:
    """The camera that makes pixel observations."""
    return Renderer(
        task.model,
        size=settings.frame_shape[:2],
        camera=settings.camera,
        profile=settings.render_profile,
        visible_geoms=task.context_geoms if settings.context_visible else (),
    )
