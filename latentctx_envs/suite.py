"""Models and rewards of the installed dm_control suite, read without importing it (it would choose a renderer)."""

import copy
import functools
import importlib.util
from pathlib import Path

import mujoco
import numpy as np

GAUSSIAN_MARGIN_VALUE = 0.1  # of dm_control's default sigmoid, at `margin` beyond the bound


@functools.cache
def suite_folder() -> Path:
    """Where the suite's XML files lie.

    Raises:
        ImportError: dm_control is not installed.
    """
    package = importlib.util.find_spec("dm_control")
    if package is None or package.origin is None:
        raise ImportError("this world needs dm_control's models and textures: pip install dm_control")
    return Path(package.origin).parent / "suite"


def compile_model(xml: str) -> mujoco.MjModel:
    """Compile MJCF text that may include the suite's common files (skybox, materials, visual settings)."""
    common = suite_folder() / "common"
    assets = {path.name: path.read_bytes() for path in common.glob("*.xml")}
    return mujoco.MjModel.from_xml_string(xml, assets)


def suite_model(name: str) -> mujoco.MjModel:
    """The suite's own model of a domain, for instance "cheetah"; each call gives a model of its own."""
    return copy.copy(_compiled(name))


@functools.cache
def _compiled(name: str) -> mujoco.MjModel:
    return compile_model((suite_folder() / f"{name}.xml").read_text())


def linear_at_least(values: np.ndarray, bound: float, margin: float, margin_value: float) -> np.ndarray:
    """1 from `bound` on; below, a line to `margin_value` at `bound - margin`, never under 0 (dm_control's tolerance)."""
    fallen = (bound - values) / margin * (1.0 - margin_value)
    return np.where(values >= bound, 1.0, np.where(np.abs(fallen) < 1.0, 1.0 - fallen, 0.0))


def gaussian_at_least(values: np.ndarray, bound: float, margin: float) -> np.ndarray:
    """1 from `bound` on; below, a Gaussian that is 0.1 at `bound - margin` (dm_control's tolerance)."""
    scale = np.sqrt(-2.0 * np.log(GAUSSIAN_MARGIN_VALUE))
    fallen = (bound - values) / margin * scale
    return np.where(values >= bound, 1.0, np.exp(-0.5 * fallen**2))
