"""TaskEnv: the single environment of a world that is a `Task`."""

import mujoco
import numpy as np

from latentctx_envs import episode
from latentctx_envs.batch import Batch
from latentctx_envs.context import Context
from latentctx_envs.env import VIEW_SIZE, LatentContextEnv
from latentctx_envs.rendering import Renderer
from latentctx_envs.settings import Settings, check_flag
from latentctx_envs.task import Task


class TaskEnv(LatentContextEnv):
    """One task with a hidden context; `LatentContextVectorEnv` is its twin for many.

    Args:
        task: physics, observations, reward and success.
        settings: what is observed, the contexts, how actions are executed.
        render_mode: None or "rgb_array", the 256 px picture of `render()`.
        render_context: draw the hidden context in `render()`, for the viewer only.

    Raises:
        ValueError: `render_mode` is unknown or the camera does not exist.
    """

    def __init__(
        self,
        task: Task,
        settings: Settings,
        *,
        render_mode: str | None = None,
        render_context: bool = False,
    ) -> None:
        super().__init__(
            settings,
            context_type=task.context_type,
            vector_spaces=task.vector_spaces,
            action_space=task.action_space,
            render_fps=task.render_fps,
            render_mode=render_mode,
            splits=task.splits,
        )
        check_flag("render_context", render_context)
        self.task = task
        self.shows_context = bool(task.context_geoms)
        self._eyes = observation_renderer(task, settings)
        self._view = Renderer(
            task.model,
            size=VIEW_SIZE,
            camera=settings.camera,
            profile="fast",
            visible_geoms=task.context_geoms if settings.context_visible or render_context else (),
        )
        self._batch = Batch(task, 1, threads=1)

    @property
    def _data(self) -> mujoco.MjData:
        return self._batch.datas[0]

    def close(self) -> None:
        """Free the renderers; calling it twice does no harm."""
        self._eyes.close()
        self._view.close()

    def draw_context(self, rng: np.random.Generator) -> Context:
        """A context that an episode may have, of the settings' split, drawn from `rng`."""
        return self.task.draw_context(rng, self.settings.context_split)

    def check_context(self, context: Context) -> None:
        """Refuse a context that no episode of this world has."""
        self.task.check_context(context)

    def physics_state(self) -> np.ndarray:
        """The full physics state, float64 (k,); `reset(options={"physics_state": s})` restores it."""
        return episode.physics_state(self.task, self._data)

    def _start(self, context: Context) -> None:
        self.task.start(self._data, context, self.np_random)

    def _restore(self, state: np.ndarray) -> None:
        episode.restore(self.task, self._data, state)

    def _pose(self, state: np.ndarray, context: Context) -> None:
        self.task.place_context(self._data, context)
        self._restore(state)

    def _control(self, controls: np.ndarray) -> tuple[float, bool]:
        self._batch.step(controls)
        rewards, successes = self._judge()
        return float(rewards[0]), bool(successes[0])

    def _succeeds(self) -> bool:
        return bool(self._judge()[1][0])

    def _judge(self) -> tuple[np.ndarray, np.ndarray]:
        return self.task.judge(self._batch.rows(), self._contexts)

    def _accumulates(self) -> bool:
        return bool(self.task.accumulates(self._contexts)[0])

    def _vector(self, kind: str) -> np.ndarray:
        return self.task.observe(kind, self._batch.rows())

    def _eye(self) -> Renderer:
        return self._eyes

    def _viewer(self) -> Renderer:
        return self._view


def observation_renderer(task: Task, settings: Settings) -> Renderer:
    """The camera that makes pixel observations.

    Raises:
        ValueError: it is to show the context of a world in which nothing can.
    """
    if settings.context_visible and not task.context_geoms:
        raise ValueError(
            "context_visible=True: nothing in this world shows its context; observe it by context='observed'."
        )
    return Renderer(
        task.model,
        size=settings.frame_shape[:2],
        camera=settings.camera,
        profile=settings.render_profile,
        visible_geoms=task.context_geoms if settings.context_visible else (),
    )
