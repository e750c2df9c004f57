"""LatentCtx-RLBench-v0: tasks of RLBench whose goal is given as a picture."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from latentctx_envs.episode import check_action
from latentctx_envs.picture_goal_env import PictureGoalEnv
from latentctx_envs.rlbench.context import RLBenchContext
from latentctx_envs.rlbench.simulator import CAMERAS, Simulator, task_class
from latentctx_envs.rlbench.upstream import check_installed
from latentctx_envs.settings import Settings


class RLBenchEnv(PictureGoalEnv):
    """One task of RLBench with a Franka Panda arm, as a goal environment in the form that HER reads.

    Observations are a flat Dict of "observation", "achieved_goal" (the same frame again) and "desired_goal": uint8
    (h, w, 3). The desired one is the last frame of a live demonstration; the episode then begins in the layout that was
    demonstrated. Actions, in [-1, 1]: a displacement of the gripper along the world's x, y, z in units of `step_size`,
    and the gripper, open above 0 and closed otherwise. A move that the arm cannot make counts as a step in which
    nothing moves. The reward is minus `image_distance` to the goal, success is RLBench's. Episodes are truncated after
    50 steps.

    It is no `LatentContextEnv`, since that one holds MuJoCo's physics: there are no states to store or restore, and the
    context, task and variation, is an argument. A seed decides layouts. The path of a demonstration is planned by
    CoppeliaSim with random numbers of its own, so that the goal picture need not repeat to the last pixel.

    CoppeliaSim is launched by the first reset, and runs once in a process.

    Args:
        task: the name of RLBench's task; `context.TASKS` are some to begin with.
        variation: of the task, from 0.
        image_size: [pixels] of the frames: a square's side or (height, width).
        camera: one of `simulator.CAMERAS`.
        step_size: the longest displacement along one axis [m]; inverse kinematics fails for long ones.
        terminate_on_success: end the episode at the first success.
        render_mode: None or "rgb_array", the frame that is observed.

    Raises:
        ImportError: CoppeliaSim, PyRep or RLBench is not installed.
        ValueError: an argument is out of range, or RLBench has no such task.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 4}
    context_type = RLBenchContext

    def __init__(
        self,
        *,
        task: str = "reach_target",
        variation: int = 0,
        image_size: int | Sequence[int] = 64,
        camera: str = "front",
        step_size: float = 0.02,
        terminate_on_success: bool = False,
        render_mode: str | None = None,
    ) -> None:
        self._context = RLBenchContext(task, variation)
        self._shape = Settings(image_size=image_size).frame_shape
        _check(camera, step_size)
        super().__init__(self._shape, terminates=terminate_on_success, render_mode=render_mode)
        check_installed()
        task_class(task)  # refuses a task that is not there
        self._camera, self._step_size = camera, float(step_size)
        self.action_space = spaces.Box(-1.0, 1.0, (4,), np.float32)
        self._simulator: Simulator | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Demonstrate the task in a new layout, and start an episode in it.

        Raises:
            ValueError: an option is given, since there are none, or the task has no such variation.
            RuntimeError: RLBench could not demonstrate the task, or a simulator already runs in this process.
        """
        super().reset(seed=seed)
        if options:
            raise ValueError(f"reset takes no options here; got {', '.join(map(str, options))}.")
        self._frames, self._success = None, False
        if self._simulator is None:
            self._simulator = Simulator(self._context, self._camera, self._shape)
        self._frames = self._simulator.begin(int(self.np_random.integers(2**32)))
        return self._observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Move the gripper, then open or close it.

        Raises:
            ValueError: the action is not four finite numbers; nothing moved.
            RuntimeError: no episode is running.
        """
        if self._simulator is None or self._frames is None:
            raise RuntimeError("no episode is running: call reset() first.")
        clipped = np.clip(check_action(action, (4,)), -1.0, 1.0)
        moved = self._simulator.move(clipped[:3] * self._step_size, bool(clipped[3] > 0.0))
        if moved is not None:
            self._frames, self._success = (moved[0], self._frames[1]), moved[1]
        return self._arrived()

    def close(self) -> None:
        """Shut the simulator down; calling it twice does no harm."""
        if self._simulator is not None:
            self._simulator.close()
        self._simulator = self._frames = None

    @property
    def _context_dict(self) -> dict[str, Any]:
        return self._context.to_dict()


def _check(camera: str, step_size: float) -> None:
    """Refuse what RLBench would misunderstand, in words."""
    if camera not in CAMERAS:
        raise ValueError(f"camera must be one of {', '.join(CAMERAS)}; got {camera!r}.")
    number = isinstance(step_size, (int, float)) and not isinstance(step_size, bool)
    if not number or not 0.0 < step_size < float("inf"):
        raise ValueError(f"step_size must be a positive number [m]; got {step_size!r}.")
