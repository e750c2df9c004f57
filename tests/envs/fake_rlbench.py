"""A stand-in for RLBench 1.2.0 and PyRep: a gripper that is a point, and a target, in a box.

It has the interface that the adapter uses, as RLBench's source defines it: module by module, the same names, argument
names, errors and uses of NumPy's global generator. Anything else that the adapter may ask for is missing here. It draws
every camera's picture from above: the gripper white (grey if it is closed), the target in the variation's colour.
"""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

Make = Callable[..., gym.Env[Any, Any]]

REACH = 0.3  # [m] half the side of the box that inverse kinematics covers
NEAR = 0.03  # [m] from the target that counts as a success
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))  # of the target, by variation
CAMERAS = ("left_shoulder", "right_shoulder", "overhead", "wrist", "front")
START = np.array([0.0, 0.0, 0.15])  # [m] of the gripper


class InvalidActionError(Exception): ...


class TaskEnvironmentError(Exception): ...


class InvalidTaskName(Exception): ...  # noqa: N818


class IKError(Exception): ...


class ConfigurationError(Exception): ...


class ConfigurationPathError(Exception): ...


class CameraConfig:
    def __init__(self, rgb=True, depth=True, point_cloud=True, mask=True, image_size=(128, 128)) -> None:
        self.rgb, self.depth, self.point_cloud, self.mask = rgb, depth, point_cloud, mask
        self.image_size = image_size  # (width, height): it goes to the sensor's set_resolution

    def set_all(self, value: bool) -> None:
        self.rgb = self.depth = self.point_cloud = self.mask = value


class ObservationConfig:
    def __init__(self) -> None:
        for name in CAMERAS:
            setattr(self, f"{name}_camera", CameraConfig())
        self.joint_positions = self.gripper_pose = True

    def set_all(self, value: bool) -> None:
        for name in CAMERAS:
            getattr(self, f"{name}_camera").set_all(value)
        self.joint_positions = self.gripper_pose = value


class EndEffectorPoseViaIK:
    def __init__(self, absolute_mode=True, frame=None, collision_checking=False) -> None:
        self.absolute_mode = absolute_mode


class Discrete:
    def __init__(self, attach_grasped_objects=True, detach_before_open=True) -> None: ...


class MoveArmThenGripper:
    def __init__(self, arm_action_mode: EndEffectorPoseViaIK, gripper_action_mode: Discrete) -> None:
        self.arm_action_mode, self.gripper_action_mode = arm_action_mode, gripper_action_mode


class Demo:
    def __init__(self, observations: list[Any], random_seed: Any) -> None:
        self._observations, self.random_seed = observations, random_seed

    def __len__(self) -> int:
        return len(self._observations)

    def __getitem__(self, i: int) -> Any:
        return self._observations[i]

    def restore_state(self) -> None:
        np.random.set_state(self.random_seed)


class ReachTarget: ...


class PushButton: ...


class TaskEnvironment:
    def __init__(self, log: list[Any], mode: MoveArmThenGripper, config: ObservationConfig) -> None:
        self._log, self._mode, self._config = log, mode, config
        self._variation, self._reset_called = 0, False

    def variation_count(self) -> int:
        return len(COLOURS)

    def set_variation(self, v: int) -> None:
        if v >= self.variation_count():
            raise TaskEnvironmentError
        self._variation = v

    def reset(self, demo: Demo | None = None) -> tuple[list[str], Any]:
        self._log.append("reset")
        self.gripper, self.is_open = START.copy(), True
        self.target = np.random.uniform(-0.25, 0.25, 3)
        self._reset_called = True
        return ["reach the target"], self.get_observation()

    def get_demos(self, amount: int, live_demos: bool = False) -> list[Demo]:
        if not live_demos:
            raise RuntimeError("Can't ask for a stored demo when no dataset root provided.")
        self._log.append("get_demos")
        return [self._demonstrate() for _ in range(amount)]

    def reset_to_demo(self, demo: Demo) -> tuple[list[str], Any]:
        demo.restore_state()
        self.set_variation(demo[0].misc["variation_index"])
        self._log.append("reset_to_demo")
        return self.reset(demo)

    def step(self, action: np.ndarray) -> tuple[Any, float, bool]:
        if not self._reset_called:
            raise RuntimeError("Call 'reset' before calling 'step' on a task.")
        self._log.append(np.array(action))
        np.random.random()  # as tasks do that make objects while they run, such as water_plants
        assert np.shape(action) == (8,) and np.isclose(np.linalg.norm(action[3:7]), 1.0)
        where = action[:3] if self._mode.arm_action_mode.absolute_mode else self.gripper + action[:3]
        if np.any(np.abs(where) > REACH):
            raise InvalidActionError("Could not perform IK via Jacobian")
        self.gripper, self.is_open = where, bool(action[7] > 0.5)
        success = self._solved()
        return self.get_observation(), float(success), success

    def get_observation(self) -> Any:
        seen = {f"{name}_rgb": self._picture(getattr(self._config, f"{name}_camera")) for name in CAMERAS}
        return SimpleNamespace(**seen, misc={"variation_index": self._variation})

    def _demonstrate(self) -> Demo:
        state = np.random.get_state()
        self.reset()
        seen = [self.get_observation()]
        for part in (0.5, 1.0):
            self.gripper = START + part * (self.target - START)
            seen.append(self.get_observation())
        return Demo(seen, state)

    def _solved(self) -> bool:
        return bool(np.linalg.norm(self.gripper - self.target) < NEAR)

    def _picture(self, camera: CameraConfig) -> np.ndarray | None:
        if not camera.rgb:
            return None
        width, height = camera.image_size
        picture = np.zeros((height, width, 3), np.uint8)
        white = (255, 255, 255) if self.is_open else (128, 128, 128)
        for place, colour in ((self.target, COLOURS[self._variation]), (self.gripper, white)):
            row, column = (
                int((place[axis] / REACH + 1) / 2 * (n - 5)) for axis, n in ((0, height), (1, width))
            )
            picture[row : row + 5, column : column + 5] = colour
        return picture


class Environment:
    running = 0  # in this process: CoppeliaSim takes one
    latest: "Environment"

    def __init__(self, action_mode, dataset_root="", obs_config=None, headless=False) -> None:
        self._mode, self._config, self.headless = action_mode, obs_config, headless
        self._launched = False
        self.log: list[Any] = []
        self.task: TaskEnvironment | None = None
        type(self).latest = self

    def get_task(self, task_class: type) -> TaskEnvironment:
        if not self._launched:
            type(self).running += 1
            assert type(self).running == 1, "CoppeliaSim was launched twice in a process"
            self._launched = True
        self.log.append(task_class.__name__)
        self.task = TaskEnvironment(self.log, self._mode, self._config)
        return self.task

    def shutdown(self) -> None:
        self.log.append("shutdown")
        type(self).running -= self._launched
        self._launched = False


def name_to_task_class(task_file: str) -> type:
    classes = {"reach_target": ReachTarget, "push_button": PushButton}
    if task_file not in classes:
        raise InvalidTaskName(f"The task file '{task_file}' does not exist or cannot be compiled.")
    return classes[task_file]


def simulator() -> Environment:
    """What the adapter launched last."""
    return Environment.latest


def simulated() -> TaskEnvironment:
    """The task that runs in it, to look at and to interfere with."""
    task = simulator().task
    assert task is not None
    return task


MODULES: dict[str, tuple[Any, ...]] = {
    "pyrep": (),
    "pyrep.backend": (),
    "pyrep.errors": (IKError, ConfigurationError, ConfigurationPathError),
    "rlbench": (),
    "rlbench.environment": (Environment,),
    "rlbench.observation_config": (ObservationConfig, CameraConfig),
    "rlbench.utils": (name_to_task_class, InvalidTaskName),
    "rlbench.backend": (),
    "rlbench.backend.exceptions": (InvalidActionError, TaskEnvironmentError),
    "rlbench.action_modes": (),
    "rlbench.action_modes.action_mode": (MoveArmThenGripper,),
    "rlbench.action_modes.arm_action_modes": (EndEffectorPoseViaIK,),
    "rlbench.action_modes.gripper_action_modes": (Discrete,),
}


def install(patch: pytest.MonkeyPatch) -> None:
    """Put the fake where `import` finds it."""
    for name, contents in MODULES.items():
        made = ModuleType(name)
        made.__path__ = []  # a package: its submodules are looked up
        for content in contents:
            setattr(made, content.__name__, content)
        patch.setitem(sys.modules, name, made)
    patch.setattr(Environment, "running", 0)


def uninstall(patch: pytest.MonkeyPatch) -> None:
    """Let `import` find neither RLBench nor PyRep, even where they are installed."""
    for name in MODULES:
        patch.setitem(sys.modules, name, None)


def install_the_other_pyrep(patch: pytest.MonkeyPatch) -> None:
    """The package that only has the name of PyRep: a module without a backend."""
    for name in MODULES:
        patch.delitem(sys.modules, name, raising=False)
    patch.setitem(sys.modules, "pyrep", ModuleType("pyrep"))
