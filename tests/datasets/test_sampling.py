"""Transitions by index arithmetic, shifted or not, into new arrays or used ones."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from latentctx_datasets import PixelStore, TransitionSampler, random_shift
from latentctx_datasets.sampling import Transitions

ENDS = [3, 5, 13, 19]  # last frame of each episode of the numbered store
FIRSTS = [f for f in range(20) if f not in ENDS]  # frames that an action leaves


def sampler_of(store: PixelStore, seed: int = 0, **kwargs: Any) -> TransitionSampler:
    return TransitionSampler(store, **{"batch_size": 400, "rng": np.random.default_rng(seed), **kwargs})


def numbers(store: PixelStore, **kwargs: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the first frames (b,), of the actions (b, n), and of the second frames (b,)."""
    batch = sampler_of(store, **kwargs).sample()
    assert (batch.actions[..., 1] == -batch.actions[..., 0]).all()
    return (
        batch.pixels[:, 0, 0, 0].astype(int),
        batch.actions[..., 0].astype(int),
        batch.next_pixels[:, 0, 0, 0],
    )


def end_of(frames: np.ndarray) -> np.ndarray:
    return np.asarray(ENDS)[np.searchsorted(ENDS, frames)]


def test_batches_have_the_documented_shapes_and_types(numbered_store: PixelStore) -> None:
    batch = sampler_of(numbered_store, batch_size=6, n_step=3, pad=1).sample()
    assert batch.pixels.shape == batch.next_pixels.shape == (6, 5, 5, 3)
    assert batch.actions.shape == (6, 3, 2)
    assert batch.pixels.dtype == batch.next_pixels.dtype == np.uint8
    assert batch.actions.dtype == np.float32


@pytest.mark.parametrize("options", [{}, {"pad": 2, "n_step": 2}, {"pad": 2, "shared_shift": True}])
def test_equal_generators_give_equal_batches(numbered_store: PixelStore, options: dict[str, Any]) -> None:
    one, same, other = (sampler_of(numbered_store, seed, **options) for seed in (1, 1, 2))
    for _ in range(3):
        first, second, third = one.sample(), same.sample(), other.sample()
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)
        assert (first.pixels != third.pixels).any()


def test_every_transition_is_drawn_about_equally_often(numbered_store: PixelStore) -> None:
    sampler = sampler_of(numbered_store, batch_size=16_000)
    drawn, counts = np.unique(sampler.sample().pixels[:, 0, 0, 0], return_counts=True)
    assert len(sampler) == 16
    assert drawn.tolist() == FIRSTS
    assert counts.min() > 850 and counts.max() < 1150  # 1000 expected, 5 standard deviations


def test_a_transition_is_a_frame_its_action_and_the_next_frame(numbered_store: PixelStore) -> None:
    first, actions, second = numbers(numbered_store)
    np.testing.assert_array_equal(actions[:, 0], first)
    np.testing.assert_array_equal(second, first + 1)


@pytest.mark.parametrize("n_step", [1, 2, 4, 9])
def test_n_steps_never_cross_an_episode_end_and_repeat_its_last_frame(
    numbered_store: PixelStore, n_step: int
) -> None:
    first, actions, second = numbers(numbered_store, n_step=n_step)
    end = end_of(first)
    np.testing.assert_array_equal(second, np.minimum(first + n_step, end))
    steps = first[:, None] + np.arange(n_step)
    np.testing.assert_array_equal(actions, np.minimum(steps, end[:, None] - 1))


@pytest.mark.parametrize("episodes", [[2], [3, 1], np.array([0, 1])])
def test_only_the_chosen_episodes_are_drawn_from(numbered_store: PixelStore, episodes: Any) -> None:
    first, _, _ = numbers(numbered_store, episodes=episodes)
    starts, lengths = numbered_store.starts, numbered_store.lengths
    expected = sorted(f for e in episodes for f in range(starts[e], starts[e] + lengths[e]))
    assert sorted(set(first.tolist())) == expected


def test_same_frame_gives_two_views_of_one_frame(numbered_store: PixelStore) -> None:
    first, actions, second = numbers(numbered_store, same_frame=True)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(actions[:, 0], first)


@pytest.mark.parametrize(
    "episodes", [[], [4], [-1], np.zeros(0, int), [0.5], [True, False, True, False]], ids=repr
)
def test_episodes_out_of_range_are_refused(
    numbered_store: PixelStore, episodes: Any, refuses: Callable[..., Any]
) -> None:
    with refuses("episodes must be indices below 4"):
        sampler_of(numbered_store, episodes=episodes)


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"n_step": 0}, {"pad": -1}])
def test_numbers_out_of_range_are_refused(
    numbered_store: PixelStore, options: dict[str, int], refuses: Callable[..., Any]
) -> None:
    with refuses("batch_size and n_step start at 1, pad at 0", str(next(iter(options.values())))):
        sampler_of(numbered_store, **options)


@pytest.fixture
def textured_store(numbered_store: PixelStore) -> PixelStore:
    """The numbered store with frames in which every shift shows."""
    numbered_store.frames = np.random.default_rng(0).integers(0, 256, (20, 5, 5, 3), dtype=np.uint8)
    return numbered_store


@pytest.mark.parametrize("shared", [False, True])
def test_both_frames_are_shifted_alike_only_if_asked(textured_store: PixelStore, shared: bool) -> None:
    batch = sampler_of(textured_store, pad=2, same_frame=True, shared_shift=shared).sample()
    alike = (batch.pixels == batch.next_pixels).all(axis=(1, 2, 3)).mean()
    assert alike == 1.0 if shared else alike < 0.15  # 1 in 25 by chance


def test_a_shared_shift_moves_a_frame_and_its_successor_to_the_same_place(
    textured_store: PixelStore, crops: Callable[..., Any]
) -> None:
    batch = sampler_of(textured_store, pad=1, shared_shift=True, batch_size=20).sample()
    for frame, action, following in zip(*batch, strict=True):
        first = int(action[0, 0])
        pairs = zip(*(crops(textured_store.frames[f], 1) for f in (first, first + 1)), strict=True)
        assert any(np.array_equal(frame, a) and np.array_equal(following, b) for a, b in pairs)


def test_shifting_leaves_frames_and_actions_of_the_store_alone(numbered_store: PixelStore) -> None:
    plain, shifted = sampler_of(numbered_store).sample(), sampler_of(numbered_store, pad=2).sample()
    np.testing.assert_array_equal(plain.actions, shifted.actions)
    np.testing.assert_array_equal(plain.pixels, shifted.pixels)  # each frame is of one colour


@pytest.mark.parametrize("shared", [False, True])
def test_shifted_batches_are_random_shift_of_the_plain_ones(textured_store: PixelStore, shared: bool) -> None:
    """The generator is used for the transitions first, then for each frame's shifts."""
    rng = np.random.default_rng(5)
    plain = TransitionSampler(textured_store, batch_size=30, rng=rng).sample()
    shifted = sampler_of(textured_store, 5, batch_size=30, pad=2, shared_shift=shared).sample()
    again = copy.deepcopy(rng)
    np.testing.assert_array_equal(shifted.pixels, random_shift(plain.pixels, 2, rng))
    expected = random_shift(plain.next_pixels, 2, again if shared else rng)
    np.testing.assert_array_equal(shifted.next_pixels, expected)


@pytest.mark.parametrize("pad", [0, 2])
def test_a_batch_written_into_an_earlier_one_is_the_batch_of_new_arrays(
    textured_store: PixelStore, pad: int
) -> None:
    new, reused = (sampler_of(textured_store, 1, batch_size=8, n_step=2, pad=pad) for _ in range(2))
    batch = reused.sample()
    first = Transitions(*(array.copy() for array in batch))
    for array, expected in zip(first, new.sample(), strict=True):
        np.testing.assert_array_equal(array, expected)
    again = reused.sample(out=batch)
    for array, before, expected in zip(again, batch, new.sample(), strict=True):
        assert array is before
        np.testing.assert_array_equal(array, expected)


def test_batches_share_no_memory_unless_asked(numbered_store: PixelStore) -> None:
    sampler = sampler_of(numbered_store, batch_size=4)
    one, two = sampler.sample(), sampler.sample()
    assert not any(np.shares_memory(a, b) for a in one for b in (*two, numbered_store.frames))


def test_arrays_of_another_form_are_refused(numbered_store: PixelStore, refuses: Callable[..., Any]) -> None:
    sampler = sampler_of(numbered_store, batch_size=4)
    batch = sampler.sample()
    strided = np.zeros((4, 5, 5, 6), np.uint8)[..., ::2]
    for bad in (sampler_of(numbered_store, batch_size=3).sample(), batch._replace(pixels=strided)):
        with refuses("out must be an earlier batch", "pixels uint8 (4, 5, 5, 3)"):
            sampler.sample(out=bad)
