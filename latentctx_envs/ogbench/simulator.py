"""One world of OGBench, drawn by our renderer: episodes with a goal picture, and moves of the gripper."""

import mujoco
import numpy as np
from gymnasium import spaces

from latentctx_envs.ogbench.context import OGBenchContext
from latentctx_envs.ogbench.upstream import ACTIONS, make_world
from latentctx_envs.rendering import Renderer, RenderProfile

CAMERA = "front_pixels"  # OGBench's for observations
WIDEST, EVERYWHERE = 90.0, 180.0  # of a lamp's cone that OpenGL accepts, and a lamp without one [degrees]


class Simulator:
    """A world of OGBench.

    Args:
        task: one of `context.TASKS`.
        size: (height, width) of frames [pixels].
        profile: of frames and goal pictures.

    Raises:
        ImportError: OGBench is not installed.
    """

    def __init__(self, task: str, size: tuple[int, int], profile: RenderProfile) -> None:
        self._size = size
        self._profile: RenderProfile = profile
        self._settling = spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)
        self._world = make_world(task, self._draw, self._settling)
        self._renderer: Renderer | None = None

    def begin(self, context: OGBenchContext, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Start an episode.

        Args:
            context: whose goal it is; its task is that of the simulator.
            seed: decides where things stand, and the arm in the goal picture.

        Returns:
            the first frame and the goal picture, uint8 (h, w, 3) both.
        """
        self._settling.seed(seed)
        frame, info = self._world.reset(seed=seed, options={"task_id": context.goal})
        return frame, info["goal"]

    def move(self, action: np.ndarray) -> tuple[np.ndarray, bool]:
        """Execute one action of OGBench, (5,) in [-1, 1]; return the frame and whether the goal is reached."""
        frame, _, _, _, info = self._world.step(action)
        return frame, bool(info["success"])

    def close(self) -> None:
        """Free what draws; calling it twice does no harm."""
        if self._renderer is not None:
            self._renderer.close()

    def _draw(self) -> np.ndarray:
        """The frame of the world's present state."""
        model = self._world.model
        if self._renderer is None:
            self._renderer = self._make_renderer(model)
        drawn = self._renderer.model
        drawn.geom_rgba[:], drawn.mat_rgba[:] = (
            model.geom_rgba,
            model.mat_rgba,
        )  # buttons and locks show states
        return self._renderer.render(self._world.data)

    def _make_renderer(self, model: mujoco.MjModel) -> Renderer:
        """A renderer whose lamps OpenGL accepts.

        OGBench has one with a cone of 100 degrees. OpenGL refuses that and goes on with the cone that the lamp before
        had: none in a context of OGBench's own, that of any other world in ours.
        """
        renderer = Renderer(model, size=self._size, camera=CAMERA, profile=self._profile)
        cones = renderer.model.light_cutoff
        cones[cones > WIDEST] = EVERYWHERE
        return renderer
