"""How sets of clips are made: in processes, after a kill, from scenes that failed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from latentctx_datasets.library import DatasetError
from latentctx_datasets.videos import building, open_clips
from latentctx_datasets.videos.push import _plan
from latentctx_datasets.videos.push_scene import HIGH, LOW, PushScene


def plan_of(clips: int) -> dict[str, Any]:
    """The tray's plan, a file a clip."""
    return {**_plan(clips, 0), "shard": 1}


@pytest.fixture
def scene() -> PushScene:
    return PushScene()


def test_a_clip_depends_on_seed_and_number_alone(scene: PushScene) -> None:
    scene.clip(0, 0)
    after, fresh = scene.clip(0, 3), PushScene().clip(0, 3)
    for name in ("frames", "actions", "hand"):
        np.testing.assert_array_equal(getattr(after, name), getattr(fresh, name))
    assert not np.array_equal(after.frames, scene.clip(1, 3).frames)


def test_the_hand_goes_where_the_actions_say_and_objects_are_pushed(scene: PushScene) -> None:
    moved, place = [], scene._place
    begin = np.zeros((3, 3))

    def placed(rng: np.random.Generator) -> None:
        place(rng)
        begin[...] = scene.object_places()

    scene._place = placed  # type: ignore[method-assign]
    for number in range(8):
        clip = scene.clip(0, number)
        moved.append(np.linalg.norm(scene.object_places() - begin, axis=1).max())
        lag = np.array([0.02, 0.02, 0.02, 0.1])  # [m, m, m, rad] that the servos may be behind their target
        assert (clip.hand >= LOW - lag).all() and (clip.hand <= HIGH + lag).all()
        assert np.abs(clip.actions).max() <= 1.0
        for axis in range(2):
            went = np.diff(clip.hand[:, axis])
            assert np.corrcoef(went, clip.actions[:, axis])[0, 1] > 0.7
    assert np.median(moved) > 0.02  # [m]


def test_attempts_whose_physics_fail_are_thrown_away(scene: PushScene) -> None:
    sound, place, tries = PushScene()._attempt(np.random.default_rng([0, 0, 1])), scene._place, []

    def explosive(rng: np.random.Generator) -> None:
        place(rng)
        tries.append(rng)
        if len(tries) == 1:
            scene.data.qvel[:] = 1e12

    scene._place = explosive  # type: ignore[method-assign]
    clip = scene.clip(0, 0)
    assert len(tries) == 2 and sound is not None
    np.testing.assert_array_equal(clip.frames, sound.frames)
    assert scene.data.warning[mujoco.mjtWarning.mjWARN_BADQVEL].number == 0


def test_a_scene_that_always_fails_says_so(
    scene: PushScene, monkeypatch: pytest.MonkeyPatch, refuses: Callable[..., Any]
) -> None:
    monkeypatch.setattr("latentctx_datasets.videos.push_scene.TRIES", 2)
    monkeypatch.setattr(scene, "_sound", lambda: False)
    with refuses("clip 4 of seed 0", "none of 2", error=RuntimeError):
        scene.clip(0, 4)


def test_worker_processes_write_the_bytes_that_one_process_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = building.build(tmp_path / "alone", plan_of(3), workers=1)
    monkeypatch.setattr(building, "build_shard", None)  # this process must not build any more
    assert building.build(tmp_path / "shared", plan_of(3), workers=2) == alone
    assert sorted(path.name for path in (tmp_path / "shared").glob("*.json")) == ["index.json"]


KILLED = """
import sys
from latentctx_datasets.videos import building
from latentctx_datasets.videos.push import _plan
building.build(__import__("pathlib").Path(sys.argv[1]), {**_plan(40, 0), "shard": 1}, workers=2)
"""


def test_a_killed_build_goes_on_and_its_workers_end(
    tmp_path: Path,
    refuses: Callable[..., Any],
    workers_in: Callable[[Path], list[str]],
    wait_for: Callable[[Callable[[], object]], None],
) -> None:
    folder = tmp_path / "push"
    build = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list(folder.glob("shard-*.json"))) >= 2)
    os.kill(build.pid, signal.SIGKILL)
    build.wait()
    wait_for(lambda: not workers_in(folder))
    done = {path: path.stat().st_mtime_ns for path in folder.glob("frames-*.npy")}
    assert 2 <= len(done) < 40
    with refuses("is not finished", error=DatasetError):
        open_clips(folder)
    with refuses("holds other clips (clips 40, not 3)", error=DatasetError):
        building.build(folder, plan_of(3), workers=1)
    for number in range(10, 40):  # the rest would take the test a minute
        shorten(folder, number)
    resumed = {**plan_of(10)}
    building.build(folder, resumed, workers=1)
    kept = [path for path in done if int(path.stem[-3:]) < 10]
    assert kept and all(path.stat().st_mtime_ns == done[path] for path in kept)
    whole = building.build(tmp_path / "whole", resumed, workers=1)
    assert open_clips(folder).facts["content_hash"] == whole


def shorten(folder: Path, number: int) -> None:
    """Make the interrupted build one of ten clips."""
    for path in [*folder.glob(f"*-{number:03d}.*")]:
        path.unlink()
    building.write_json(folder / building.PLAN, plan_of(10))


def test_a_worker_that_fails_ends_the_build_and_is_quoted(
    tmp_path: Path, refuses: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    plan = {**plan_of(2), "source": "bair", "files": [["lost.tfrecords", 2]], "read_from": str(tmp_path)}
    with refuses("a building process has ended", "the same command goes on", error=RuntimeError):
        building.build(tmp_path / "bair", plan, workers=2)
    assert "lost.tfrecords" in capfd.readouterr().err


def test_folders_of_other_things_and_sources_that_are_unknown_are_refused(
    tmp_path: Path, refuses: Callable[..., Any]
) -> None:
    (tmp_path / "notes.txt").write_text("keep")
    with refuses("holds something else", "--path", error=DatasetError):
        building.build(tmp_path, plan_of(1), workers=1)
    with refuses("push, play, meta-world, films or bair", "got 'youtube'", error=DatasetError):
        building.build(tmp_path / "new", {**plan_of(1), "source": "youtube"}, workers=1)
    with refuses("workers start at 1; got 0"):
        building.build(tmp_path / "newer", plan_of(1), workers=0)
