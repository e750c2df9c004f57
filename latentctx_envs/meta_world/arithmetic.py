"""What Meta-World's observations and rewards compute, for one rotation and for scalars.

Upstream calls array libraries on single numbers: scipy for one quaternion, `np.where` for one distance. The functions
here do the same floating point operations in the same order on Python floats, and hand anything else to upstream.
"""

import math
from types import ModuleType
from typing import Any

import numpy as np
from metaworld.utils import reward_utils


def quaternion(matrix: np.ndarray) -> np.ndarray:
    """The unit quaternion (x, y, z, w), float64 (4,), of a rotation matrix (3, 3), scipy's to the last bit.

    The component with the largest square is taken from the diagonal, the others from sums and differences across it.
    The matrix must be orthogonal to 1e-12, as MuJoCo's are; scipy checks it, this does not.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = matrix.tolist()
    trace = xx + yy + zz
    largest = max(xx, yy, zz, trace)
    if largest == xx:
        parts = (1 - trace + 2 * xx, yx + xy, zx + xz, zy - yz)
    elif largest == yy:
        parts = (xy + yx, 1 - trace + 2 * yy, zy + yz, xz - zx)
    elif largest == zz:
        parts = (xz + zx, yz + zy, 1 - trace + 2 * zz, yx - xy)
    else:
        parts = (zy - yz, xz - zx, yx - xy, 1 + trace)
    x, y, z, w = parts
    length = math.sqrt(x * x + y * y + z * z + w * w)
    return np.array((x / length, y / length, z / length, w / length))


def tolerance(
    x: Any,
    bounds: tuple[float, float] = (0.0, 0.0),
    margin: Any = 0.0,
    sigmoid: Any = "gaussian",
    value_at_margin: float = 0.1,
) -> Any:
    """1.0 within the bounds, falling to `value_at_margin` at a distance of `margin`.

    The long tail of a scalar, all that the tasks of today use, is computed here; the rest goes to upstream, which also
    refuses what makes no sense.
    """
    lower, upper = bounds
    known = sigmoid == "long_tail" and isinstance(x, float) and isinstance(margin, float)
    if not known or lower > upper or not margin > 0 or not 0 < value_at_margin < 1:
        return reward_utils.tolerance(x, bounds, margin, sigmoid, value_at_margin)
    here = float(x)
    if lower <= here <= upper:
        return 1.0
    distance = ((lower - here) if here < lower else (here - upper)) / float(margin)
    return 1 / ((distance * math.sqrt(1 / value_at_margin - 1)) ** 2 + 1)


def norm(x: Any, ord: Any = None, *rest: Any, **named: Any) -> Any:
    """Euclidean length of a vector, `np.linalg.norm`'s to the last bit; anything else goes to numpy."""
    if ord in (None, 2) and not rest and not named:
        if type(x) is np.ndarray and x.ndim == 1 and x.dtype == np.float64:
            return np.float64(math.sqrt(x.dot(x)))
        if ord is None and isinstance(x, float):
            return np.float64(math.sqrt(x * x))
    return np.linalg.norm(x, ord, *rest, **named)


def hstack(parts: Any) -> np.ndarray:
    """`np.hstack` of numbers; anything else goes to numpy."""
    if all(isinstance(part, float) for part in parts):
        return np.array(parts)
    return np.hstack(parts)


class Rotation:
    """As much of scipy's class of this name as the tasks use."""

    def __init__(self, quat: np.ndarray) -> None:
        self._quat = quat

    @classmethod
    def from_matrix(cls, matrix: np.ndarray) -> "Rotation":
        """The rotation of an orthogonal matrix (3, 3)."""
        return cls(quaternion(matrix))

    def as_quat(self) -> np.ndarray:
        """The unit quaternion (x, y, z, w), float64 (4,)."""
        return self._quat


def altered(module: ModuleType, **names: Any) -> ModuleType:
    """A module like the one given but for the names given."""
    copy = ModuleType(module.__name__, module.__doc__)
    vars(copy).update({**vars(module), **names})
    return copy
