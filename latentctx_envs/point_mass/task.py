"""Physics, observations, reward and success of the point mass (arXiv 2305.16985)."""

import copy
import functools
import math
from pathlib import Path
from typing import ClassVar

import mujoco
import numpy as np
from gymnasium import spaces

from latentctx_envs.context import Context
from latentctx_envs.point_mass.context import GOAL_LIMIT, PointMassContext
from latentctx_envs.suite import compile_model
from latentctx_envs.task import Task

SUCCESS_REWARD = 0.99  # an episode succeeds once a reward exceeds this
TARGET_RADIUS = 0.015  # [m]
START_LIMIT = GOAL_LIMIT  # [m] starts are uniform in [-0.29, 0.29]^2, at rest
TARGET_HEIGHT = 0.01  # [m]


def load_model() -> mujoco.MjModel:
    """The arena, a model of its own for each call; textures and materials are those of the installed dm_control suite."""
    return copy.copy(_compiled())


@functools.cache
def _compiled() -> mujoco.MjModel:
    return compile_model((Path(__file__).parent / "arena.xml").read_text())


def gaussian_tolerance(distances: np.ndarray, bound: float, margin: float) -> np.ndarray:
    """1 within `bound` [m], then a Gaussian that has fallen to 0.1 at `bound + margin` (dm_control)."""
    excess = np.maximum(distances - bound, 0.0) / margin
    return np.exp(math.log(0.1) * np.square(excess))


class PointMassTask(Task):
    """Push a mass to a goal that no observation shows. Rows are (x, y, vx, vy) in m and m/s."""

    context_type: ClassVar[type[Context]] = PointMassContext
    context_geoms = ("target",)
    render_fps: ClassVar[int] = 20

    def __init__(self) -> None:
        self.model = load_model()
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.vector_spaces = {
            "state": spaces.Box(-1.0, 1.0, (4,), np.float32),
            "position": spaces.Box(-1.0, 1.0, (2,), np.float32),
        }

    def place_context(self, data: mujoco.MjData, context: Context) -> None:
        """Move the target marker to the goal."""
        assert isinstance(context, PointMassContext)
        data.mocap_pos[0] = (*context.goal, TARGET_HEIGHT)

    def start(self, data: mujoco.MjData, context: Context, rng: np.random.Generator) -> None:
        """Start at rest, uniformly in the arena; the goal has no say in it."""
        mujoco.mj_resetData(self.model, data)
        self.place_context(data, context)
        data.qpos[:] = rng.uniform(-START_LIMIT, START_LIMIT, size=2)
        mujoco.mj_forward(self.model, data)

    def views(self, data: mujoco.MjData) -> tuple[np.ndarray, ...]:
        """(x, y) and (vx, vy) [m, m/s]."""
        return data.qpos, data.qvel

    def observe(self, kind: str, rows: np.ndarray) -> np.ndarray:
        """Position and velocity ("state") or position alone ("position")."""
        return (rows if kind == "state" else rows[:, :2]).astype(np.float32)

    def judge(self, rows: np.ndarray, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Reward: tolerance of the distance to the goal, in [0, 1]; success: reward above 0.99."""
        distances = np.hypot(rows[:, 0] - contexts[:, 0], rows[:, 1] - contexts[:, 1])
        rewards = gaussian_tolerance(distances, TARGET_RADIUS, TARGET_RADIUS)
        return rewards, rewards > SUCCESS_REWARD
