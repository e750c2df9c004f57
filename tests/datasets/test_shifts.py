"""Random shifts: crops of the edge-padded image."""

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from latentctx_datasets import random_shift
from latentctx_datasets.shifts import draw_shifts, shift_into

Crops = Callable[[np.ndarray, int], list[np.ndarray]]


@settings(deadline=None)
@given(
    images=hnp.arrays(
        np.uint8, st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(2, 5), st.just(3))
    ),
    pad=st.integers(1, 3),
    seed=st.integers(0, 9),
)
def test_a_shifted_image_is_a_crop_of_the_edge_padded_one(
    crops: Crops, images: np.ndarray, pad: int, seed: int
) -> None:
    before = images.copy()
    shifted = random_shift(images, pad, np.random.default_rng(seed))
    assert shifted.dtype == np.uint8 and shifted.shape == images.shape
    for image, moved in zip(images, shifted, strict=True):
        assert any(np.array_equal(moved, crop) for crop in crops(image, pad))
    np.testing.assert_array_equal(images, before)


def test_images_that_are_not_contiguous_are_shifted_alike() -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 3, 6, 10), dtype=np.uint8)
    for view in (images.transpose(0, 2, 3, 1), images.transpose(0, 2, 3, 1)[:, ::2, 1::3]):
        shifted = random_shift(view, 2, np.random.default_rng(1))
        np.testing.assert_array_equal(shifted, random_shift(view.copy("C"), 2, np.random.default_rng(1)))


def test_every_shift_occurs_about_equally_often(crops: Crops) -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    shifted = random_shift(np.repeat(image[None], 5000, axis=0), 2, np.random.default_rng(0))
    counts = [int((shifted == crop).all(axis=(1, 2, 3)).sum()) for crop in crops(image, 2)]
    assert sum(counts) == 5000
    assert min(counts) > 130 and max(counts) < 270  # 200 expected, 5 standard deviations


def test_a_shift_of_zero_returns_the_images_themselves() -> None:
    images, rng = np.zeros((2, 4, 4, 3), np.uint8), np.random.default_rng(0)
    assert random_shift(images, 0, rng) is images
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


def test_shifting_rows_one_by_one_equals_shifting_the_batch() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    out = np.empty_like(images)
    shift_into(out, (images[row] for row in range(5)), draw_shifts(5, 2, np.random.default_rng(3)))
    np.testing.assert_array_equal(out, random_shift(images, 2, np.random.default_rng(3)))


def test_shifts_beyond_the_image_leave_its_edge() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3), dtype=np.uint8)
    out = np.empty_like(image)
    shift_into(out, image, np.array([[100, -100]]))
    assert (out == image[0, -1, 0]).all()
