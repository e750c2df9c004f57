"""The native vector environments of the locomotion worlds."""

from typing import Any

from latentctx_envs.locomotion.cheetah import CheetahTask
from latentctx_envs.locomotion.env import task_and_settings
from latentctx_envs.locomotion.walker import WalkerTask
from latentctx_envs.vector_env import LatentContextVectorEnv, VectorSettings

MAX_STEPS = 1000  # control steps


class CheetahVectorEnv(LatentContextVectorEnv):
    """N cheetahs in one process.

    Args:
        settings: those of `CheetahEnv` and of `latentctx_envs.vector_env.VectorSettings`.
    """

    def __init__(self, **settings: Any) -> None:
        vector, rest = VectorSettings.taken_from(settings, max_episode_steps=MAX_STEPS)
        super().__init__(*task_and_settings(CheetahTask, rest), vector)


class WalkerVectorEnv(LatentContextVectorEnv):
    """N walkers in one process.

    Args:
        settings: those of `WalkerEnv` and of `latentctx_envs.vector_env.VectorSettings`.
    """

    def __init__(self, **settings: Any) -> None:
        vector, rest = VectorSettings.taken_from(settings, max_episode_steps=MAX_STEPS)
        super().__init__(*task_and_settings(WalkerTask, rest), vector)
