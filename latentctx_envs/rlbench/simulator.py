"""CoppeliaSim with one RLBench task: episodes with a goal picture, and moves of the gripper."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from latentctx_envs.rlbench.context import RLBenchContext, unknown_task
from latentctx_envs.rlbench.upstream import module

CAMERAS = ("left_shoulder", "right_shoulder", "overhead", "wrist", "front")
NO_TURN = (0.0, 0.0, 0.0, 1.0)  # unit quaternion (x, y, z, w)

_running: "weakref.WeakSet[Simulator]" = weakref.WeakSet()


class Simulator:
    """A running CoppeliaSim with a task of RLBench in it.

    RLBench draws from NumPy's global generator. Here it finds a state of its own there, which is put aside after each
    call, so that neither it nor the rest of the program disturbs the other.

    Args:
        context: the task and its variation.
        camera: one of `CAMERAS`; RLBench removes the others.
        frame_shape: (height, width, 3) of the camera's picture [pixels].

    Raises:
        ValueError: RLBench has no such task, or the task no such variation.
        RuntimeError: another simulator runs in this process.
    """

    def __init__(self, context: RLBenchContext, camera: str, frame_shape: tuple[int, int, int]) -> None:
        if _running:
            raise RuntimeError(
                "CoppeliaSim runs once in a process, and another LatentCtx-RLBench-v0 uses it: close() that one, "
                "or give each a process of its own (gymnasium.vector.AsyncVectorEnv)."
            )
        environment = module("rlbench.environment").Environment(
            _action_mode(), obs_config=_observation_config(camera, frame_shape), headless=True
        )
        # also when it is forgotten or the program ends: the simulator is a thread that nothing else stops
        self._shut_down = weakref.finalize(self, environment.shutdown)
        _running.add(self)
        self._frame_name = f"{camera}_rgb"
        self._numbers: Any = np.random.RandomState(0).get_state()
        self._impossible = _impossible_moves()
        try:
            self._task = environment.get_task(task_class(context.task))  # launches the simulator
            self._choose(context)
        except Exception:
            self.close()
            raise

    def begin(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Start an episode in a layout that the seed decides.

        Args:
            seed: from 0 to 2**32 - 1.

        Returns:
            the first frame, and the last frame of a demonstration in the same layout: uint8 (h, w, 3) both.

        Raises:
            RuntimeError: RLBench could not demonstrate the task.
        """
        self._numbers = np.random.RandomState(seed).get_state()
        with self._own_numbers():
            (demonstration,) = self._task.get_demos(1, live_demos=True)
            _, observation = self._task.reset_to_demo(demonstration)
        return self._frame(observation), self._frame(demonstration[len(demonstration) - 1])

    def move(self, displacement: np.ndarray, gripper_open: bool) -> tuple[np.ndarray, bool] | None:
        """Move the gripper without turning it, then open or close it.

        Args:
            displacement: along the world's x, y and z [m], (3,).
            gripper_open: whether the gripper is to be open.

        Returns:
            the frame, uint8 (h, w, 3), and whether the task is solved; None if the arm cannot make this move, and
            then nothing has moved.
        """
        action = np.concatenate([displacement, NO_TURN, [float(gripper_open)]])
        try:
            with self._own_numbers():
                observation, reward, _ = self._task.step(action)
        except self._impossible:
            return None
        return self._frame(observation), bool(reward)  # the reward is 1.0 where the task is solved, else 0.0

    def close(self) -> None:
        """Shut the simulator down; calling it twice does no harm."""
        _running.discard(self)
        self._shut_down()

    def _choose(self, context: RLBenchContext) -> None:
        count = self._task.variation_count()
        if context.variation >= count:
            raise ValueError(
                f"variation must lie in 0 to {count - 1} for {context.task}; got {context.variation}."
            )
        self._task.set_variation(context.variation)

    def _frame(self, observation: Any) -> np.ndarray:
        return np.array(getattr(observation, self._frame_name), np.uint8)

    @contextmanager
    def _own_numbers(self) -> Iterator[None]:
        outside = np.random.get_state()
        np.random.set_state(self._numbers)
        try:
            yield
        finally:
            self._numbers = np.random.get_state()
            np.random.set_state(outside)


def task_class(task: str) -> Any:
    """RLBench's class of a task.

    Raises:
        ValueError: there is no such task.
    """
    utils = module("rlbench.utils")
    try:
        return utils.name_to_task_class(task)
    except utils.InvalidTaskName:
        raise ValueError(unknown_task(task)) from None


def _action_mode() -> Any:
    """Moves relative to where the gripper is, by inverse kinematics; then a gripper that is open or closed."""
    arm = module("rlbench.action_modes.arm_action_modes").EndEffectorPoseViaIK(absolute_mode=False)
    gripper = module("rlbench.action_modes.gripper_action_modes").Discrete()
    return module("rlbench.action_modes.action_mode").MoveArmThenGripper(arm, gripper)


def _observation_config(camera: str, frame_shape: tuple[int, int, int]) -> Any:
    """One camera's colours and nothing else."""
    upstream = module("rlbench.observation_config")
    config = upstream.ObservationConfig()
    config.set_all(False)
    height, width, _ = frame_shape
    picture = upstream.CameraConfig(
        rgb=True, depth=False, point_cloud=False, mask=False, image_size=(width, height)
    )
    setattr(config, f"{camera}_camera", picture)
    return config


def _impossible_moves() -> tuple[type[Exception], ...]:
    """The errors that mean: the arm cannot go there."""
    errors = module("pyrep.errors")
    invalid = module("rlbench.backend.exceptions").InvalidActionError
    return invalid, errors.IKError, errors.ConfigurationError, errors.ConfigurationPathError
