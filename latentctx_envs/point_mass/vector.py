"""The native vector environment of LatentCtx-PointMass-v0."""

from typing import Any

from latentctx_envs.point_mass.task import PointMassTask
from latentctx_envs.settings import Settings
from latentctx_envs.vector_env import LatentContextVectorEnv


class PointMassVectorEnv(LatentContextVectorEnv):
    """N point masses in one process; `gym.make_vec("LatentCtx-PointMass-v0", num_envs=N)` makes it.

    Args:
        num_envs: N.
        max_episode_steps: steps after which an episode is truncated.
        autoreset_mode: "NextStep", "SameStep" or "Disabled".
        goal_visible: draw the goal in the observed pixels.
        settings: the fields of `latentctx_envs.settings.Settings`.
    """

    def __init__(
        self,
        *,
        num_envs: int = 1,
        max_episode_steps: int | None = 100,
        autoreset_mode: str = "NextStep",
        goal_visible: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(
            PointMassTask(),
            Settings(context_visible=goal_visible, **settings),
            num_envs=num_envs,
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
        )
