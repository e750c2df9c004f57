"""The native vector environment of LatentCtx-PointMass-v0."""

from typing import Any

from latentctx_envs.point_mass.task import PointMassTask
from latentctx_envs.settings import Settings
from latentctx_envs.vector_env import LatentContextVectorEnv, VectorSettings

MAX_STEPS = 100  # control steps


class PointMassVectorEnv(LatentContextVectorEnv):
    """N point masses in one process; `gym.make_vec("LatentCtx-PointMass-v0", num_envs=N)` makes it.

    Args:
        goal_visible: draw the goal in the observed pixels.
        settings: those of `latentctx_envs.vector_env.VectorSettings` and of `latentctx_envs.settings.Settings`.
    """

    def __init__(self, *, goal_visible: bool = False, **settings: Any) -> None:
        vector, rest = VectorSettings.taken_from(settings, max_episode_steps=MAX_STEPS)
        super().__init__(PointMassTask(), Settings.showing(goal_visible, rest), vector)
