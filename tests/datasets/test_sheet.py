"""Contact sheets and GIFs: which episodes, which frames, which files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from latentctx_datasets import View, load, replay, sheet


def test_a_dataset_of_two_tasks_gets_a_sheet_and_two_gifs(walker: str, tmp_path: Path) -> None:
    files = sheet.show(walker, tmp_path / "view", episodes=3, image_size=16)
    names = [path.name for path in files]
    assert names == [f"latentctx-walker-tiny-v0{end}" for end in (".png", "-walk.gif", "-stand.gif")]
    with Image.open(files[0]) as picture:
        assert picture.size == (sheet.MARGIN + sheet.COLUMNS * 16, 3 * (16 + sheet.LABEL))
    sizes = []
    for path in files[1:]:
        with Image.open(path) as film:
            sizes.append((film.size, film.n_frames))  # type: ignore[attr-defined]
    assert sizes == [((32, 16), 7), ((16, 16), 7)]


def test_a_world_of_one_task_gets_one_gif(tiny: str, tmp_path: Path) -> None:
    files = sheet.show(tiny, tmp_path, episodes=2, image_size=16)
    assert [path.name for path in files] == [f"latentctx-point-mass-tiny-v0{end}" for end in (".png", ".gif")]


def test_episodes_are_spread_over_the_dataset_and_frames_over_the_episode(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet, "LENGTH", 25)
    shots = sheet.take_shots(load(tiny), 2, 16)
    assert [shot.number for shot in shots] == [0, 3]
    assert [shot.seconds for shot in shots] == [0.2, 0.2]  # every fourth of 100 steps of 0.05 s
    (frames,) = replay(load(tiny), View(image_size=16, goal_visible=True), [3])
    np.testing.assert_array_equal(shots[1].frames, frames[::4])
    assert shots[1].earned == pytest.approx(load(tiny)[3].rewards.sum())


def test_a_row_of_the_sheet_runs_from_the_first_frame_to_the_last() -> None:
    frames = np.stack([np.full((8, 8, 3), 10 * i, np.uint8) for i in range(15)])
    shots = [sheet.Shot(number=n, task="", earned=0.0, frames=frames, seconds=1.0) for n in (0, 1)]
    picture = np.asarray(sheet.contact_sheet(shots))
    shown = picture[sheet.LABEL + 4 :: 8 + sheet.LABEL, sheet.MARGIN + 4 :: 8, 0]
    np.testing.assert_array_equal(shown, [[0, 20, 40, 60, 80, 100, 120, 140]] * 2)


def test_a_clip_is_called_one_and_has_no_return() -> None:
    frames = np.zeros((2, 40, 40, 3), np.uint8)
    episode = sheet.Shot(number=3, task="", earned=0.0, frames=frames, seconds=1.0)
    clip = sheet.Shot(number=3, kind="clip", task="", frames=frames, seconds=1.0)
    first, second = (
        np.asarray(sheet.contact_sheet([shot]))[:, : sheet.MARGIN, 0] < 128 for shot in (episode, clip)
    )
    names, returns = slice(sheet.LABEL, sheet.LABEL + 14), slice(sheet.LABEL + 16, None)
    assert first[names].any() and second[names].any() and not np.array_equal(first[names], second[names])
    assert first[returns].any() and not second[returns].any()


def test_shorter_films_hold_their_last_frame(tmp_path: Path) -> None:
    long, short = np.zeros((5, 8, 8, 3), np.uint8), np.zeros((2, 8, 8, 3), np.uint8)
    long[:, 0, 0] = np.arange(5)[:, None] * 50  # or Pillow merges equal frames
    short[-1] = 200
    sheet.write_gif([[long, short]], tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as film:
        film.seek(4)
        assert (np.asarray(film.convert("RGB"))[:, 8:] == 200).all()


@pytest.mark.parametrize("numbers", [{"episodes": 0}, {"image_size": 0}])
def test_numbers_out_of_range_are_refused(
    numbers: dict[str, int], tiny: str, tmp_path: Path, refuses: Callable[..., Any]
) -> None:
    with refuses("episodes and image_size start at 1"):
        sheet.show(tiny, tmp_path, **numbers)
