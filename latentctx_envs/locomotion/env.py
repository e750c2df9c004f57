"""LatentCtx-Cheetah* and LatentCtx-Walker*: dm_control's planar robots as single environments."""

from typing import Any

from latentctx_envs.locomotion.cheetah import CheetahTask
from latentctx_envs.locomotion.task import LocomotionTask
from latentctx_envs.locomotion.walker import WalkerTask
from latentctx_envs.settings import Settings
from latentctx_envs.task_env import TaskEnv

IMAGE_SIZE = 64  # [pixels] the default of these worlds (AIME, NeurIPS 2023)
TASK_ARGUMENTS = ("task", "context_kind", "flip_signal", "reward_mode")


class CheetahEnv(TaskEnv):
    """The planar cheetah; the context is its task.

    Observations: "state" is position (8: pose without the root's x) and velocity (9), "position" the first alone,
    "pixels" the side view that follows it. Actions: six torques in [-1, 1]. Reward: in [0, 1] a control step, for
    "run" dm_control's. Success: a reward of at least 0.9. Episodes are truncated after 1,000 steps of 0.01 s.

    Args:
        render_mode: None or "rgb_array".
        settings: `task` ("run", "run-backward", "flip" or "flip-backward"; None draws it as the hidden context), the
            other arguments of `latentctx_envs.locomotion.task.LocomotionTask`, and the fields of
            `latentctx_envs.settings.Settings`; `image_size` is 64 by default.
    """

    def __init__(self, *, render_mode: str | None = None, **settings: Any) -> None:
        super().__init__(*task_and_settings(CheetahTask, settings), render_mode=render_mode)


class WalkerEnv(TaskEnv):
    """The planar walker; the context is its task.

    Observations: "state" is orientations (14), height (1) and velocity (9), "position" all but the last, "pixels" the
    side view that follows it. Actions: six torques in [-1, 1]. Reward: in [0, 1] a control step, for "stand", "walk"
    and "run" dm_control's. Success: a reward of at least 0.9. Episodes are truncated after 1,000 steps of 0.025 s.

    Args:
        render_mode: None or "rgb_array".
        settings: `task` ("stand", "walk", "run", "walk-backward", "run-backward", "flip", "flip-backward" or "jump";
            None draws it as the hidden context), the other arguments of
            `latentctx_envs.locomotion.task.LocomotionTask`, and the fields of
            `latentctx_envs.settings.Settings`; `image_size` is 64 by default.
    """

    def __init__(self, *, render_mode: str | None = None, **settings: Any) -> None:
        super().__init__(*task_and_settings(WalkerTask, settings), render_mode=render_mode)


def task_and_settings(
    kind: type[LocomotionTask], arguments: dict[str, Any]
) -> tuple[LocomotionTask, Settings]:
    """The task and the settings that an environment's keyword arguments describe."""
    own = {name: value for name, value in arguments.items() if name in TASK_ARGUMENTS}
    rest = {name: value for name, value in arguments.items() if name not in TASK_ARGUMENTS}
    return kind(**own), Settings.of({"image_size": IMAGE_SIZE, **rest})
