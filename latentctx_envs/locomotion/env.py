"""LatentCtx-Cheetah* and LatentCtx-Walker*: dm_control's planar robots as single environments."""

from typing import Any

from latentctx_envs.env import LatentContextEnv
from latentctx_envs.locomotion.cheetah import CheetahTask
from latentctx_envs.locomotion.walker import WalkerTask
from latentctx_envs.settings import Settings

IMAGE_SIZE = 64  # [pixels] the default of these worlds (AIME, NeurIPS 2023)


class CheetahEnv(LatentContextEnv):
    """The planar cheetah; the context is its task.

    Observations: "state" is position (8: pose without the root's x) and velocity (9), "position" the first alone,
    "pixels" the side view that follows it. Actions: six torques in [-1, 1]. Reward: dm_control's, in [0, 1].
    Success: a reward of at least 0.9. Episodes are truncated after 1,000 control steps of 0.01 s.

    Args:
        task: "run"; None draws the task as the hidden context.
        render_mode: None or "rgb_array".
        settings: the fields of `latentctx_envs.settings.Settings`; `image_size` is 64 by default.
    """

    def __init__(self, *, task: str | None = None, render_mode: str | None = None, **settings: Any) -> None:
        super().__init__(CheetahTask(task), locomotion_settings(**settings), render_mode=render_mode)


class WalkerEnv(LatentContextEnv):
    """The planar walker; the context is its task.

    Observations: "state" is orientations (14), height (1) and velocity (9), "position" all but the last, "pixels" the
    side view that follows it. Actions: six torques in [-1, 1]. Reward: dm_control's, in [0, 1]. Success: a reward of
    at least 0.9. Episodes are truncated after 1,000 control steps of 0.025 s.

    Args:
        task: "stand", "walk" or "run"; None draws the task as the hidden context.
        render_mode: None or "rgb_array".
        settings: the fields of `latentctx_envs.settings.Settings`; `image_size` is 64 by default.
    """

    def __init__(self, *, task: str | None = None, render_mode: str | None = None, **settings: Any) -> None:
        super().__init__(WalkerTask(task), locomotion_settings(**settings), render_mode=render_mode)


def locomotion_settings(**settings: Any) -> Settings:
    """The settings of a locomotion world; its pictures have 64 pixels a side unless told."""
    return Settings(**{"image_size": IMAGE_SIZE, **settings})
