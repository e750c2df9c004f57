"""Windows of episodes: indices, masks, actions on both sides, used arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from latentctx_datasets import PixelStore, Sequences, SequenceSampler

STARTS, ENDS = [0, 4, 6, 14], [3, 5, 13, 19]  # first and last frame of each episode of the numbered store
LONG = [0, 2, 3]  # episodes of at least 3 actions


def sampler_of(store: PixelStore, seed: int = 0, **kwargs: Any) -> SequenceSampler:
    defaults = {"batch_size": 60, "length": 4, "episodes": LONG, "rng": np.random.default_rng(seed)}
    return SequenceSampler(store, **{**defaults, **kwargs})


def rows_of(batch: Sequences) -> np.ndarray:
    """Index of the frame at each place of the windows, int (b, T)."""
    return batch.observations[..., 0].astype(int)


def test_batches_have_the_documented_shapes_and_types(numbered_store: PixelStore) -> None:
    batch = sampler_of(numbered_store, batch_size=6).sample()
    assert batch.pixels is not None
    assert (batch.pixels.shape, batch.pixels.dtype) == ((6, 4, 5, 5, 3), np.uint8)
    assert (batch.observations.shape, batch.observations.dtype) == ((6, 4, 1), np.float32)
    for actions in (batch.actions, batch.previous_actions):
        assert (actions.shape, actions.dtype) == ((6, 4, 2), np.float32)
    assert (batch.rewards.shape, batch.rewards.dtype) == ((6, 4), np.float32)
    for mask in (batch.is_first, batch.is_last):
        assert (mask.shape, mask.dtype) == ((6, 4), bool)


def test_windows_are_consecutive_frames_of_one_episode(numbered_store: PixelStore) -> None:
    batch = sampler_of(numbered_store).sample()
    assert batch.pixels is not None
    rows = rows_of(batch)
    np.testing.assert_array_equal(batch.pixels[..., 0, 0, 0], rows)
    np.testing.assert_array_equal(np.diff(rows, axis=1), 1)
    episodes = np.searchsorted(ENDS, rows)
    np.testing.assert_array_equal(episodes, episodes[:, :1].repeat(4, axis=1))


def test_actions_lead_to_the_next_observation_and_previous_ones_led_to_this(
    numbered_store: PixelStore,
) -> None:
    batch = sampler_of(numbered_store).sample()
    rows = rows_of(batch)
    np.testing.assert_array_equal(batch.actions[..., 0], np.where(np.isin(rows, ENDS), 0, rows))
    np.testing.assert_array_equal(
        batch.previous_actions[..., 0], np.where(np.isin(rows, STARTS), 0, rows - 1)
    )
    np.testing.assert_array_equal(batch.previous_actions[:, 1:], batch.actions[:, :-1])


def test_rewards_are_those_of_the_actions_beside_them(numbered_store: PixelStore) -> None:
    batch = sampler_of(numbered_store).sample()
    rows = rows_of(batch)
    np.testing.assert_array_equal(batch.rewards, np.where(np.isin(rows, ENDS), 0, rows / 2))


def test_masks_tell_the_ends_of_an_episode(numbered_store: PixelStore) -> None:
    batch = sampler_of(numbered_store).sample()
    np.testing.assert_array_equal(batch.is_first, np.isin(rows_of(batch), STARTS))
    np.testing.assert_array_equal(batch.is_last, np.isin(rows_of(batch), ENDS))
    assert batch.is_first.any() and batch.is_last.any()


def test_every_window_is_drawn_about_equally_often(numbered_store: PixelStore) -> None:
    sampler = sampler_of(numbered_store, batch_size=9000, pixels=False)
    drawn, counts = np.unique(rows_of(sampler.sample())[:, 0], return_counts=True)
    assert len(sampler) == 9
    assert drawn.tolist() == [0, 6, 7, 8, 9, 10, 14, 15, 16]
    assert counts.min() > 850 and counts.max() < 1150  # 1000 expected, 5 standard deviations


def test_early_windows_show_the_first_observations_as_often_as_later_ones(numbered_store: PixelStore) -> None:
    sampler = sampler_of(numbered_store, batch_size=8000, episodes=[2], early=True)
    rows = rows_of(sampler.sample())
    assert len(sampler) == 8
    begun, counts = np.unique(rows[:, 0], return_counts=True)
    assert begun.tolist() == [6, 7, 8, 9, 10]
    assert np.abs(counts - np.array([4000, 1000, 1000, 1000, 1000])).max() < 5 * np.sqrt(4000 / 2)


def test_only_the_chosen_episodes_are_drawn_from(numbered_store: PixelStore) -> None:
    batch = sampler_of(numbered_store, episodes=[3, 0]).sample()
    assert set(rows_of(batch)[:, 0].tolist()) == {0, 14, 15, 16}


def test_a_window_may_be_one_observation_or_a_whole_episode(numbered_store: PixelStore) -> None:
    assert len(sampler_of(numbered_store, length=1, episodes=None)) == 20
    whole = sampler_of(numbered_store, length=8, episodes=[2]).sample()
    assert whole.is_first[:, 0].all() and whole.is_last[:, -1].all()


def test_without_pixels_the_other_arrays_are_the_same(numbered_store: PixelStore) -> None:
    with_pixels, without = (sampler_of(numbered_store, pixels=pixels).sample() for pixels in (True, False))
    assert without.pixels is None
    for one, other in zip(with_pixels[1:], without[1:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_equal_generators_give_equal_batches(numbered_store: PixelStore) -> None:
    one, same, other = (sampler_of(numbered_store, seed) for seed in (1, 1, 2))
    for _ in range(3):
        first, second, third = one.sample(), same.sample(), other.sample()
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)
        assert (rows_of(first) != rows_of(third)).any()


@pytest.mark.parametrize("pixels", [True, False])
def test_a_batch_written_into_an_earlier_one_is_the_batch_of_new_arrays(
    numbered_store: PixelStore, pixels: bool
) -> None:
    new, reused = (sampler_of(numbered_store, 1, pixels=pixels) for _ in range(2))
    batch, _ = reused.sample(), new.sample()
    for array, before, expected in zip(reused.sample(out=batch), batch, new.sample(), strict=True):
        assert array is before
        np.testing.assert_array_equal(array, expected)


def test_arrays_of_another_form_are_refused(numbered_store: PixelStore, refuses: Callable[..., Any]) -> None:
    sampler = sampler_of(numbered_store)
    for other in (sampler_of(numbered_store, length=3), sampler_of(numbered_store, pixels=False)):
        with refuses("out must be an earlier batch", "pixels uint8 (60, 4, 5, 5, 3)"):
            sampler.sample(out=other.sample())


def test_episodes_shorter_than_a_window_are_refused(
    numbered_store: PixelStore, refuses: Callable[..., Any]
) -> None:
    with refuses("does not fit into episode 1, which has 2", "store.lengths + 1 >= 4"):
        sampler_of(numbered_store, episodes=None)


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"length": 0}, {"episodes": [9]}])
def test_numbers_out_of_range_are_refused(
    numbered_store: PixelStore, options: dict[str, Any], refuses: Callable[..., Any]
) -> None:
    with refuses("episodes must be" if "episodes" in options else "batch_size and length start at 1"):
        sampler_of(numbered_store, **options)
