"""The kitchen's seven sub-tasks: which numbers of the objects' positions they are about, and when they are done."""

from typing import NamedTuple

import numpy as np

ROBOT = 9  # joints of arm and fingers; positions of objects follow them
NEAR = 0.3  # norm of the distance to a goal below which it is reached; angles [rad] and lengths [m] alike


class Goal(NamedTuple):
    """Where some of the 30 positions (robot 9, objects 21) should be."""

    columns: slice  # of the positions
    values: tuple[float, ...]  # [rad] of hinges, [m] of slides; of the kettle place [m] and quaternion


GOALS: dict[str, Goal] = {
    "bottom burner": Goal(slice(11, 13), (-0.88, -0.01)),
    "top burner": Goal(slice(15, 17), (-0.92, -0.01)),
    "light switch": Goal(slice(17, 19), (-0.69, -0.05)),
    "slide cabinet": Goal(slice(19, 20), (0.37,)),
    "hinge cabinet": Goal(slice(20, 22), (0.0, 1.45)),
    "microwave": Goal(slice(22, 23), (-0.75,)),
    "kettle": Goal(slice(23, 30), (-0.23, 0.75, 1.62, 0.99, 0.0, 0.0, -0.06)),
}
"""Name of a sub-task -> its goal, as in D4RL and in gymnasium-robotics; the order is that of arXiv 2305.16985's ids."""

SUBTASKS: tuple[str, ...] = tuple(GOALS)


def reached(positions: np.ndarray) -> np.ndarray:
    """Which sub-tasks are at their goal, bool (..., 7), in positions (..., 30) of robot and objects."""
    distances = [
        np.linalg.norm(positions[..., columns] - values, axis=-1) for columns, values in GOALS.values()
    ]
    return np.stack(distances, axis=-1) < NEAR
