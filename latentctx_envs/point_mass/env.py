"""LatentCtx-PointMass-v0: reach a goal that no observation shows (arXiv 2305.16985)."""

from typing import Any

from latentctx_envs.point_mass.task import PointMassTask
from latentctx_envs.settings import Settings
from latentctx_envs.task_env import TaskEnv


class PointMassEnv(TaskEnv):
    """A point mass in a walled 0.6 m arena; the context is the goal position.

    Observations: "state" is (x, y, vx, vy) [m, m/s], "position" (x, y), "pixels" the top view in which the
    goal is not drawn. Actions: two forces in [-1, 1]. Reward: 1 within 0.015 m of the goal, then a Gaussian
    tolerance. Success: reward above 0.99, that is within 0.016 m. Episodes are truncated after 100 steps of 0.05 s.

    Args:
        goal_visible: draw the goal in the observed pixels, so that the context is not hidden any more.
        render_mode: None or "rgb_array".
        render_context: draw the goal in `render()`, for the viewer only.
        settings: the fields of `latentctx_envs.settings.Settings`.
    """

    def __init__(
        self,
        *,
        goal_visible: bool = False,
        render_mode: str | None = None,
        render_context: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(
            PointMassTask(),
            Settings.showing(goal_visible, settings),
            render_mode=render_mode,
            render_context=render_context,
        )
