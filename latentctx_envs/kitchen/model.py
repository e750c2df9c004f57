"""The kitchen's model and the robot's limits, read from the installed gymnasium-robotics without importing it.

Its import would register some hundred ids of its own.
"""

import functools
import importlib.util
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import mujoco
import numpy as np

from latentctx_envs.extras import require
from latentctx_envs.kitchen.subtasks import ROBOT

CAMERA = "authors"  # name of the camera that is added
DISTANCE = 2.2  # [m] from the point it looks at
LOOKAT = (-0.2, 0.5, 2.0)  # [m]
AZIMUTH, ELEVATION = 70.0, -35.0  # [degrees]

START = np.array([
    0.148388023, -1.76848573, 1.84390296, -2.4768576, 0.260252026, 0.712533105, 1.59515394,  # arm [rad]
    0.0479267505, 0.0371350919,  # fingers [m]
    -2.6627985e-4, -5.18043486e-5, 3.1287722e-5, -4.51199853e-5,  # knob [rad] and burner [m], bottom right and left
    -3.90842156e-6, -4.22629655e-5, 6.28065475e-5, 4.04984708e-5,  # the same of the top ones
    4.62730939e-4, -2.26906415e-4, -4.65501369e-4,  # light switch [rad], light, slide cabinet [m]
    -6.44129196e-3, -1.77048263e-3, 1.08009684e-3,  # hinge cabinets, microwave [rad]
    -0.26939744, 0.350383255, 1.61944683, 1.00618764, 4.0639512e-3, -6.62095997e-3, -2.68278933e-4,  # kettle
])  # fmt: skip
"""Positions in which every episode starts, (30,): D4RL's, the first state of a demonstration."""


class Limits(NamedTuple):
    """What the robot's configuration says of its joints, and how much noise belongs to each number that is seen."""

    low: np.ndarray  # of the robot's joints, (9,) [rad, m]
    high: np.ndarray  # (9,)
    noise: np.ndarray  # largest noise at a ratio of 1, of positions (30) and velocities (29): (59,)


def kitchen_assets() -> Path:
    """Where the kitchen's MJCF files lie.

    Raises:
        ImportError: gymnasium-robotics is not installed.
    """
    package = importlib.util.find_spec("gymnasium_robotics")
    origin = package.origin if package is not None else require("gymnasium_robotics", "kitchen").__file__
    assert origin is not None  # a package with an __init__
    return Path(origin).parent / "envs" / "assets" / "kitchen_franka"


@functools.cache
def kitchen_model() -> mujoco.MjModel:
    """The compiled scene with one camera more, shared by all environments of the process: do not change it."""
    spec = mujoco.MjSpec.from_file(str(kitchen_assets() / "kitchen_assets" / "kitchen_env_model.xml"))
    position, turn = camera_pose()
    spec.worldbody.add_camera(name=CAMERA, pos=position, quat=turn)
    return spec.compile()


def camera_pose() -> tuple[np.ndarray, np.ndarray]:
    """Place [m] and quaternion of a fixed camera that sees what MuJoCo's free camera with the authors' numbers sees."""
    azimuth, elevation = np.radians(AZIMUTH), np.radians(ELEVATION)
    level = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    forward = np.cos(elevation) * level + [0.0, 0.0, np.sin(elevation)]
    up = -np.sin(elevation) * level + [0.0, 0.0, np.cos(elevation)]
    turn = np.empty(4)
    mujoco.mju_mat2Quat(turn, np.stack([np.cross(forward, up), up, -forward], axis=1).reshape(-1))
    return LOOKAT - DISTANCE * forward, turn


@functools.cache
def kitchen_limits() -> Limits:
    """The limits of the robot's joints and the noise of everything that is observed."""
    model = kitchen_model()
    root = ElementTree.parse(kitchen_assets() / "franka_assets" / "franka_config.xml").getroot()
    bounds = np.array([_numbers(root, joint, "pos_bound") for joint in range(ROBOT)])
    positions = [_numbers(root, joint, "pos_noise_amp")[0] for joint in range(model.nq)]
    velocities = [_numbers(root, joint, "vel_noise_amp")[0] for joint in range(model.nv)]
    return Limits(bounds[:, 0], bounds[:, 1], np.array(positions + velocities))


def _numbers(root: ElementTree.Element, joint: int, name: str) -> list[float]:
    node = root.find(f"qpos{joint}")
    assert node is not None
    return [float(number) for number in node.attrib[name].split()]
