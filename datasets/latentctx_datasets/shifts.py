"""Random shifts of images, edges repeated: the augmentation of the pixel learners, on uint8 arrays.

A network that subtracts a mean image of unshifted frames sees the whole background in shifted ones, several times as
strong as what moves. For such a network the background stays where it is: only what differs from the mean is shifted.
"""

from collections.abc import Iterable

import numpy as np


def random_shift(
    pixels: np.ndarray, pad: int, rng: np.random.Generator, background: "Background | None" = None
) -> np.ndarray:
    """Each image shifted by up to `pad` pixels on both axes, edges repeated; a new uint8 array.

    Args:
        pixels: uint8 (b, h, w, 3).
        pad: largest shift [pixels]; 0 returns `pixels` itself.
        rng: where the shifts come from.
        background: what is not shifted.
    """
    if pad == 0:
        return pixels
    out = np.empty_like(pixels, order="C", subok=False)
    shifts = draw_shifts(len(pixels), pad, rng)
    shift_into(out, pixels, shifts)
    if background is not None:
        background.restore(out, shifts)
    return out


class Background:
    """A mean image that stays where it is while what differs from it is shifted.

    Args:
        image: uint8 (h, w, 3).
        pad: largest shift [pixels].
    """

    def __init__(self, image: np.ndarray, pad: int) -> None:
        side = np.arange(-pad, pad + 1)
        every = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
        moved = np.empty((len(every), *image.shape), np.uint8)
        shift_into(moved, [image] * len(every), every)
        self._missing = image.astype(np.int16) - moved  # of each shift, row by row
        self._pad = pad

    def restore(self, images: np.ndarray, shifts: np.ndarray) -> None:
        """Put the background of shifted images back, in place.

        Args:
            images: uint8 (b, h, w, 3), each shifted as a whole.
            shifts: int (b, 2), (down, right) [pixels], at most `pad`.
        """
        rows = (shifts + self._pad) @ np.array([2 * self._pad + 1, 1])
        whole = images + self._missing[rows]
        images[...] = np.clip(whole, 0, 255)


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
