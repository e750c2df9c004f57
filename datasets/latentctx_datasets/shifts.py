"""Random shifts of images, edges repeated: the augmentation of the pixel learners, on uint8 arrays."""

from collections.abc import Iterable

import numpy as np


def random_shift(pixels: np.ndarray, pad: int, rng: np.random.Generator) -> np.ndarray:
    """Each image shifted by up to `pad` pixels on both axes, edges repeated; a new uint8 array.

    Args:
        pixels: uint8 (b, h, w, 3).
        pad: largest shift [pixels]; 0 returns `pixels` itself.
        rng: where the shifts come from.
    """
    if pad == 0:
        return pixels
    out = np.empty_like(pixels, order="C", subok=False)
    shift_into(out, pixels, draw_shifts(len(pixels), pad, rng))
    return out


def draw_shifts(count: int, pad: int, rng: np.random.Generator) -> np.ndarray:
    """Shifts (down, right) for `count` images, int64 (count, 2), each in [-pad, pad] [pixels]."""
    return rng.integers(2 * pad + 1, size=(count, 2)) - pad


def shift_into(out: np.ndarray, sources: Iterable[np.ndarray], shifts: np.ndarray) -> None:
    """Write each source image to its place in `out`, shifted; edges repeat.

    Args:
        out: uint8 (b, h, w, 3), C-contiguous.
        sources: b images (h, w, 3), e.g. rows of a mapped store: they are read once, where they lie.
        shifts: int (b, 2), (down, right) [pixels].
    """
    limits = np.array(out.shape[1:3]) - 1  # beyond them nothing but the edge is left
    places = np.clip(shifts, -limits, limits).tolist()
    for image, source, (down, right) in zip(out, sources, places, strict=True):
        _shift(image, source, down, right)


def _shift(image: np.ndarray, source: np.ndarray, down: int, right: int) -> None:
    """Write pixel (y + down, x + right) of `source` to (y, x) of `image`, which is contiguous; edges repeat."""
    height, width, channels = source.shape
    offset = (down * width + right) * channels
    written, read = image.reshape(-1), source.reshape(-1)
    if offset >= 0:  # one move along the memory shifts both axes; what wraps around is written over below
        written[: read.size - offset] = read[offset:]
    else:
        written[-offset:] = read[:offset]
    top, bottom = max(0, -down), height - max(0, down)  # rows of `image` whose source row exists
    if right < 0:
        image[top:bottom, :-right] = source[top + down : bottom + down, :1]
    elif right > 0:
        image[top:bottom, -right:] = source[top + down : bottom + down, -1:]
    if down < 0:
        image[:top] = image[top]
    elif down > 0:
        image[bottom:] = image[bottom - 1]
