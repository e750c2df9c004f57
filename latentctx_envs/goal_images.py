"""How far a picture is from the picture of a goal."""

import numpy as np

BLOCK = 8  # [pixels] side of the blocks whose mean colours are compared
BRIGHTEST = 255.0


def image_distance(achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
    """The mean squared difference of two pictures' blurred colours, each colour in [0, 1].

    Blurring makes the distance fall while something still moves towards its goal without overlapping it.

    Args:
        achieved: uint8 (..., h, w, 3), or (..., 3, h, w) as Stable-Baselines3 passes pictures.
        desired: of the same shape.

    Returns:
        float64 (...), from 0 to 1; the blocks at the right and lower edge may be smaller than the others.

    Raises:
        ValueError: the shapes differ or are not those of pictures, or the values are no uint8.
    """
    dtypes = {str(np.asarray(picture).dtype) for picture in (achieved, desired)}
    if dtypes != {"uint8"}:  # colours from 0 to 1 would all be cut to 0
        raise ValueError(
            f"two pictures of uint8, 0 to 255, are compared; got {' and '.join(sorted(dtypes))}."
        )
    shape = np.shape(achieved)
    if shape != np.shape(desired) or len(shape) < 3 or 3 not in (shape[-1], shape[-3]):
        raise ValueError(
            f"two pictures (..., h, w, 3) of one shape are compared; got {shape} and {np.shape(desired)}."
        )
    difference = np.asarray(achieved, np.int32) - np.asarray(desired, np.int32)
    if shape[-1] != 3:
        difference = np.moveaxis(difference, -3, -1)
    height, width = difference.shape[-3:-1]
    rows, columns = np.arange(0, height, BLOCK), np.arange(0, width, BLOCK)
    sums = np.add.reduceat(np.add.reduceat(difference, rows, axis=-3), columns, axis=-2)
    sizes = np.diff(rows, append=height)[:, None] * np.diff(columns, append=width)
    means = sums / (sizes[:, :, None] * BRIGHTEST)
    return np.square(means).mean(axis=(-3, -2, -1))
