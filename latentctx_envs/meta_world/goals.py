"""When a Meta-World task is solved, as a distance of one point to another."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from latentctx_envs.meta_world.engine import Sawyer

XYZ, X, Z = (True, True, True), (True, False, False), (False, False, True)


@dataclass(frozen=True)
class GoalRule:
    """A task is solved while a point is no farther from its target than a radius, along some axes.

    Such rules are upstream's own; tasks with further conditions (a grasp, a second object) have none.
    """

    point: Literal["hand", "object"]  # between the fingers, or the first object's place in the observation
    axes: tuple[bool, bool, bool]  # that count
    radius: float  # [m]

    def achieved(self, engine: Sawyer, observation: np.ndarray) -> np.ndarray:
        """Where the point is [m], float32 (3,); zero along axes that do not count.

        Args:
            engine: the task's engine.
            observation: upstream's, (39,), of now.
        """
        place = engine.tcp_center if self.point == "hand" else observation[4:7]
        return np.where(self.axes, place, 0.0).astype(np.float32)

    def desired(self, engine: Sawyer) -> np.ndarray:
        """Where the point should be [m], float32 (3,); zero along axes that do not count."""
        return np.where(self.axes, engine.target, 0.0).astype(np.float32)


GOAL_RULES: dict[str, GoalRule] = {
    "reach-v3": GoalRule("hand", XYZ, 0.05),
    "push-v3": GoalRule("object", XYZ, 0.05),
    "pick-place-v3": GoalRule("object", XYZ, 0.07),
    "plate-slide-v3": GoalRule("object", XYZ, 0.07),
    "button-press-topdown-v3": GoalRule("object", Z, 0.024),
    "window-open-v3": GoalRule("object", X, 0.05),
    "window-close-v3": GoalRule("object", X, 0.05),
    "drawer-open-v3": GoalRule("object", XYZ, 0.03),
    "drawer-close-v3": GoalRule("object", XYZ, 0.065),
    "door-open-v3": GoalRule("object", X, 0.08),
    "door-close-v3": GoalRule("object", XYZ, 0.08),
}
"""Task -> upstream's rule; tests compare them with upstream's success step by step."""
