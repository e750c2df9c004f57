"""OGBench's classes, imported when a world is first simulated."""

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from gymnasium import spaces

from latentctx_envs.extras import require
from latentctx_envs.ogbench.context import TASKS
from latentctx_envs.opengl import chosen_backend, free_before_others

ACTIONS = 5  # displacement along x, y, z, turn about z, gripper


def check_installed() -> None:
    """Refuse to go on without OGBench, without importing it.

    Raises:
        ImportError: it is not installed; the message is one line that names the extra.
    """
    if importlib.util.find_spec("ogbench") is None:
        require("ogbench", "ogbench")


def make_world(task: str, draw: Callable[[], np.ndarray], space: spaces.Box) -> Any:
    """OGBench's world that shows pixels, with two of its methods replaced.

    It draws frames by `draw`, not by a renderer and OpenGL context of its own. The random actions of a reset, during
    which the goal's scene settles, come from `space`; upstream makes a new space for each, which no seed reaches.

    Args:
        task: one of `TASKS`.
        draw: gives the frame of the world's present state, uint8 (h, w, 3).
        space: of actions; its seed decides the goal's scene.
    """
    name, simulated, kind = TASKS[task]
    with _our_backend():
        upstream = getattr(require(f"ogbench.manipspace.envs.{name}", "ogbench"), simulated)

    class World(upstream):
        @property
        def action_space(self) -> spaces.Box:
            return space

        def render(self, *_: Any, **__: Any) -> np.ndarray:
            return draw()

    return World(env_type=kind, ob_type="pixels", visualize_info=False)


@contextlib.contextmanager
def _our_backend() -> Iterator[None]:
    """Tell dm_control which OpenGL backend is ours while OGBench imports it.

    Left alone it tries GLFW first, which warns where there is no display.
    """
    before = os.environ.get("MUJOCO_GL")
    os.environ["MUJOCO_GL"] = chosen_backend().backend
    try:
        yield
    finally:
        free_before_others()
        if before is None:
            del os.environ["MUJOCO_GL"]
        else:
            os.environ["MUJOCO_GL"] = before
