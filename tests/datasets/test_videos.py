"""Videos without actions: lossless, resumable, guarded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latentctx_datasets import DatasetError, Videos, View, identity, library, replay
from latentctx_datasets.videos import write_videos

VIEW = View(image_size=24, render_profile="turbo")


def test_videos_are_the_frames_of_the_episodes_and_nothing_that_was_done(tiny: str, tmp_path: Path) -> None:
    assert write_videos(tiny, tmp_path / "videos", view=VIEW, episodes=2, states=True) == 2
    videos, dataset = Videos(tmp_path / "videos"), library.load(tiny)
    assert len(videos) == 2
    for index, frames in enumerate(replay(dataset, VIEW, range(2))):
        assert np.array_equal(videos[index], frames)
        assert np.array_equal(videos.states(index), dataset[index].observations)
    assert np.array_equal(videos[-1], videos[1])
    for file in (tmp_path / "videos").glob("*.npz"):
        with np.load(file) as arrays:
            assert set(arrays) == {"image", "state"}
    assert videos.facts["content_hash"] == identity.recorded_hash(dataset)
    assert "context" not in (tmp_path / "videos" / "videos.json").read_text()


def test_a_killed_export_goes_on_and_keeps_what_it_has(
    tiny: str, tmp_path: Path, refuses: Callable[..., Any]
) -> None:
    write_videos(tiny, tmp_path / "videos", view=VIEW)
    (tmp_path / "videos" / "000002.npz").unlink()
    before = (tmp_path / "videos" / "000001.npz").stat().st_mtime_ns
    with refuses("lacks 1 of 4 videos", error=DatasetError):
        Videos(tmp_path / "videos")
    write_videos(tiny, tmp_path / "videos", view=VIEW)
    assert len(Videos(tmp_path / "videos")) == 4
    assert (tmp_path / "videos" / "000001.npz").stat().st_mtime_ns == before


def test_another_export_and_foreign_folders_are_refused(
    tiny: str, tmp_path: Path, refuses: Callable[..., Any]
) -> None:
    write_videos(tiny, tmp_path / "videos", view=VIEW, episodes=1)
    for count in (2, None):
        with refuses("holds something else", error=DatasetError):
            write_videos(tiny, tmp_path / "videos", view=VIEW, episodes=count)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with refuses("holds something else", error=DatasetError):
        write_videos(tiny, tmp_path / "mine", view=VIEW)
    with refuses("episodes start at 1; got 0", error=DatasetError):
        write_videos(tiny, tmp_path / "none", view=VIEW, episodes=0)
    with refuses("holds no videos", "export-videos", error=DatasetError):
        Videos(tmp_path / "mine")
    with refuses("holds no states", error=DatasetError):
        Videos(tmp_path / "videos").states(0)
    with pytest.raises(IndexError):
        Videos(tmp_path / "videos")[1]


def test_the_folder_may_be_the_one_where_one_is(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert write_videos(tiny, Path("."), view=VIEW, episodes=1) == 1
    assert len(Videos(tmp_path / "here")) == 1


def test_a_damaged_video_is_named(tiny: str, tmp_path: Path, refuses: Callable[..., Any]) -> None:
    write_videos(tiny, tmp_path / "videos", view=VIEW, episodes=1)
    file = tmp_path / "videos" / "000000.npz"
    whole = file.read_bytes()
    for damaged in (b"half", b"", whole[:200] + bytes([whole[200] ^ 255]) + whole[201:]):
        file.write_bytes(damaged)
        with refuses("000000.npz is damaged", error=DatasetError):
            Videos(tmp_path / "videos")[0]
