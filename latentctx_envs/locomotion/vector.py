"""The native vector environments of the locomotion worlds."""

from typing import Any

from latentctx_envs.locomotion.cheetah import CheetahTask
from latentctx_envs.locomotion.env import locomotion_settings
from latentctx_envs.locomotion.walker import WalkerTask
from latentctx_envs.vector_env import LatentContextVectorEnv, VectorSettings

MAX_STEPS = 1000  # control steps


class CheetahVectorEnv(LatentContextVectorEnv):
    """N cheetahs in one process.

    Args:
        task: "run"; None draws the task as the hidden context.
        settings: those of `LatentContextVectorEnv` and of `latentctx_envs.settings.Settings`.
    """

    def __init__(self, *, task: str | None = None, **settings: Any) -> None:
        vector, rest = VectorSettings.taken_from(settings, max_episode_steps=MAX_STEPS)
        super().__init__(CheetahTask(task), locomotion_settings(**rest), vector)


class WalkerVectorEnv(LatentContextVectorEnv):
    """N walkers in one process.

    Args:
        task: "stand", "walk" or "run"; None draws the task as the hidden context.
        settings: those of `LatentContextVectorEnv` and of `latentctx_envs.settings.Settings`.
    """

    def __init__(self, *, task: str | None = None, **settings: Any) -> None:
        vector, rest = VectorSettings.taken_from(settings, max_episode_steps=MAX_STEPS)
        super().__init__(WalkerTask(task), locomotion_settings(**rest), vector)
