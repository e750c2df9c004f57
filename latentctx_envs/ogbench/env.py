"""LatentCtx-OGBench-v0: manipulation worlds of OGBench whose goal is given as a picture."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from latentctx_envs.episode import check_action, check_options
from latentctx_envs.ogbench.context import GOALS, OGBenchContext, check_goal, check_task
from latentctx_envs.ogbench.simulator import Simulator
from latentctx_envs.ogbench.upstream import ACTIONS, check_installed
from latentctx_envs.picture_goal_env import PictureGoalEnv
from latentctx_envs.rendering import RenderProfile
from latentctx_envs.settings import Settings

SEEDS = 2**31  # how many the simulator is given


class OGBenchEnv(PictureGoalEnv):
    """One world of OGBench with a UR5e arm at a table, as a goal environment in the form that HER reads.

    A second-simulator transfer test, a stand-in for RLBench; not RLBench, numbers not comparable.

    Observations are a flat Dict of "observation", "achieved_goal" (the same frame again) and "desired_goal" (OGBench's
    picture of the goal): uint8 (h, w, 3). Actions are OGBench's, five numbers in [-1, 1]: displacements of the gripper
    along x, y, z in units of 0.05 m, its turn about z in units of 0.3 rad, and how far the gripper closes, in units of
    its whole way. The reward is minus `image_distance` to the goal, success is OGBench's. Episodes are truncated after
    200 steps of 0.05 s.

    Which of the world's five goals an episode has is hidden: a number in the info's context, no part of what is
    observed. A goal decides where things stand at the start as well. One seed decides goal, start and goal picture.

    It is no `LatentContextEnv`: OGBench keeps more than physics (states of buttons and locks), so that there are no
    states to store or restore. It cannot be pickled.

    Args:
        task: one of `context.TASKS`.
        goal: from 1 to 5, of every episode; None to draw one for each.
        image_size: [pixels] of the frames: a square's side or (height, width).
        render_profile: of frames and goal pictures; "reference" gives the pixels that OGBench itself draws.
        terminate_on_success: end the episode at the first success.
        render_mode: None or "rgb_array", the frame that is observed.

    Raises:
        ImportError: OGBench is not installed.
        ValueError: an argument is out of range.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 20}
    context_type = OGBenchContext

    def __init__(
        self,
        *,
        task: str = "visual-cube-single",
        goal: int | None = None,
        image_size: int | Sequence[int] = 64,
        render_profile: RenderProfile = "fast",
        terminate_on_success: bool = False,
        render_mode: str | None = None,
    ) -> None:
        check_task(task)
        if goal is not None:
            check_goal(goal)
        self._settings = Settings(image_size=image_size, render_profile=render_profile)
        super().__init__(self._settings.frame_shape, terminates=terminate_on_success, render_mode=render_mode)
        check_installed()
        self._task, self._goal = task, goal
        self.action_space = spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)
        self._simulator: Simulator | None = None
        self._context: OGBenchContext | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Draw a goal and a start, and begin an episode; the first one builds the world.

        Args:
            seed: decides this episode and those that follow.
            options: "context" pins the goal, an `OGBenchContext` or its dict form.

        Raises:
            ValueError: an option is unknown, or the context is not one of this world.
        """
        pinned = self._pinned(check_options(options, ("context",)).get("context"))
        super().reset(seed=seed)
        drawn, start = int(self.np_random.integers(1, GOALS + 1)), int(self.np_random.integers(SEEDS))
        goal = self._goal if self._goal is not None else drawn
        self._context, self._frames, self._success = pinned or OGBenchContext(self._task, goal), None, False
        if self._simulator is None:
            self._simulator = Simulator(
                self._task, self._settings.frame_shape[:2], self._settings.render_profile
            )
        self._frames = self._simulator.begin(self._context, start)
        return self._observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Move, turn and open or close the gripper for 0.05 s.

        Raises:
            ValueError: the action is not five finite numbers; nothing was simulated.
            RuntimeError: no episode is running.
        """
        if self._simulator is None or self._frames is None:
            raise RuntimeError("no episode is running: call reset() first.")
        clipped = np.clip(check_action(action, (ACTIONS,)), -1.0, 1.0)
        frame, self._success = self._simulator.move(clipped)
        self._frames = frame, self._frames[1]
        return self._arrived()

    def close(self) -> None:
        """Give the world back; calling it twice does no harm, and a reset builds it again."""
        if self._simulator is not None:
            self._simulator.close()
        self._simulator = self._frames = None

    def _pinned(self, context: Any) -> OGBenchContext | None:
        if context is None:
            return None
        pinned = OGBenchContext.coerce(context)
        if pinned.task != self._task:
            raise ValueError(f"this environment's task is {self._task}; the context's is {pinned.task}.")
        return pinned

    @property
    def _context_dict(self) -> dict[str, Any]:
        assert self._context is not None
        return self._context.to_dict()
