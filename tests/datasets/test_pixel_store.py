"""The pixel store: its index convention, its key, its building, and what it says when it is damaged."""

import errno
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from latentctx_datasets import (
    DatasetError,
    PixelStore,
    SequenceSampler,
    View,
    collect,
    copies,
    identity,
    library,
    load,
    open_frames,
    open_states,
    open_store,
    recover,
    replay,
)
from latentctx_datasets import store as store_module
from latentctx_datasets.mapped import DONE, MANIFEST, STAMP
from latentctx_datasets.store import ARRAYS, RenderPlan, store_key

UNEVEN_ID = "latentctx/point-mass/uneven-v0"
SHIPPED_ID = "latentctx/point-mass/expert-small-v0"
Refuses = Callable[..., Any]


@pytest.fixture
def store(tiny: str, tiny_view: View) -> PixelStore:
    return open_store(tiny, tiny_view, workers=1)


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """First episodes of the chunks that are rendered from now on, one episode a chunk."""
    chunks: list[int] = []
    render = RenderPlan.render

    def record(plan: RenderPlan, partial: Path, number: int) -> bool:
        done = render(plan, partial, number)
        chunks.append(plan.bounds(number)[0])
        return done

    monkeypatch.setattr(store_module, "CHUNK", 1)
    monkeypatch.setattr(RenderPlan, "render", record)
    return chunks


def partial_folder(dataset_id: str, view: View) -> Path:
    key = store_key(load(dataset_id), view)
    return store_module.cache_root() / "pixels" / f"{key}.partial"


def test_rows_of_a_store_are_the_datasets_with_one_row_more_than_actions_an_episode(
    tiny: str, tiny_view: View
) -> None:
    dataset = load(UNEVEN_ID)
    store = open_store(UNEVEN_ID, tiny_view, workers=1)
    assert len(set(store.lengths.tolist())) > 1
    assert len(store.frames) == dataset.total_steps + len(dataset)
    frames = replay(dataset, tiny_view, dataset.episode_indices)
    for start, length, episode, shown in zip(store.starts, store.lengths, dataset, frames, strict=True):
        rows = slice(start, start + length + 1)
        np.testing.assert_array_equal(store.frames[rows], shown)
        np.testing.assert_array_equal(store.observations[rows], episode.observations)
        np.testing.assert_array_equal(store.actions[rows][:-1], episode.actions)
        np.testing.assert_array_equal(store.actions[rows][-1], 0.0)
        np.testing.assert_array_equal(store.rewards[rows][:-1], episode.rewards.astype(np.float32))
        assert store.rewards[rows][-1] == 0.0


def test_frame_f_and_action_f_lead_to_frame_f_plus_1(tiny: str, store: PixelStore) -> None:
    dataset = load(tiny)
    (extra,) = dataset.storage.get_episode_metadata([1])
    env = recover(dataset, observation=("pixels", "state"), image_size=12, render_profile="turbo")
    for t in (0, 40, 99):
        state = dataset[1].infos["physics_state"][t]
        env.reset(options={"context": json.loads(extra["context_json"]), "physics_state": state})
        row = store.starts[1] + t
        observation = env.step(store.actions[row])[0]
        np.testing.assert_array_equal(observation["pixels"], store.frames[row + 1])
        np.testing.assert_array_equal(observation["state"], store.observations[row + 1])


def test_contexts_of_a_store_are_those_of_the_episodes(tiny: str, store: PixelStore) -> None:
    extras = load(tiny).storage.get_episode_metadata(range(4))
    goals = [json.loads(extra["context_json"])["goal"] for extra in extras]
    np.testing.assert_array_equal(store.contexts, np.asarray(goals, np.float32))


def test_arrays_are_mapped_read_only(store: PixelStore) -> None:
    for name in ARRAYS:
        array = getattr(store, name)
        assert isinstance(array, np.memmap) and not array.flags.writeable


def test_another_process_maps_a_store_instead_of_receiving_a_copy(store: PixelStore) -> None:
    sent = pickle.dumps(store)
    received = pickle.loads(sent)
    assert len(sent) < 1000 < store.frames.nbytes
    assert isinstance(received.frames, np.memmap) and received.dataset_id == store.dataset_id
    np.testing.assert_array_equal(received.frames, store.frames)


def test_a_store_that_is_there_is_opened_without_rendering(
    tiny: str, store: PixelStore, tiny_view: View, rendered: list[int]
) -> None:
    assert open_store(tiny, tiny_view).path == store.path
    assert rendered == []


def test_key_changes_with_data_size_profile_camera_and_goal(tiny: str) -> None:
    views = [
        View(),
        View(image_size=64),
        View(render_profile="turbo"),
        View(camera=1),
        View(goal_visible=True),
    ]
    keys = {store_key(load(name), view) for name in (tiny, UNEVEN_ID) for view in views}
    assert len(keys) == 10


def test_a_rebuilt_dataset_of_other_content_gets_another_store(
    tiny: str, store: PixelStore, tiny_view: View
) -> None:
    collect.build(tiny, force=True)
    assert open_store(tiny, tiny_view, workers=1).path == store.path  # the same content
    shutil.rmtree(library.root() / tiny)
    shutil.copytree(library.root() / UNEVEN_ID, library.root() / tiny)
    assert open_store(tiny, tiny_view, workers=1).path != store.path


def test_a_changed_dataset_is_not_rendered(
    tiny: str, tiny_view: View, edit_metadata: Callable[..., None], refuses: Refuses
) -> None:
    edit_metadata(tiny, content_hash="0" * 64)
    with refuses("changed after it was built", error=DatasetError):
        open_store(tiny, tiny_view, workers=1)


def test_a_killed_build_is_resumed_with_the_missing_chunks_only(
    tiny: str, tiny_view: View, rendered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    render = RenderPlan.render

    def dies_at_the_third(plan: RenderPlan, partial: Path, number: int) -> bool:
        if number == 2:
            raise KeyboardInterrupt
        return render(plan, partial, number)

    with monkeypatch.context() as patch:
        patch.setattr(RenderPlan, "render", dies_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            open_store(tiny, tiny_view, workers=1)
    assert rendered == [0, 1]
    store = open_store(tiny, tiny_view, workers=1)
    assert rendered == [0, 1, 2, 3]
    np.testing.assert_array_equal(store.frames, np.concatenate(list(replay(load(tiny), tiny_view, range(4)))))
    assert not partial_folder(tiny, tiny_view).exists()


@pytest.mark.slow
def test_a_build_killed_by_the_system_is_resumed_with_the_missing_chunks_only(rendered: list[int]) -> None:
    view = View(image_size=48)
    code = f"""
from latentctx_datasets import View, store
store.CHUNK = 1
store.open_store({SHIPPED_ID!r}, {view!r}, workers=1)"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    load(SHIPPED_ID)
    done = partial_folder(SHIPPED_ID, view) / DONE
    deadline = time.monotonic() + 60
    while not (done.exists() and len(done.read_text().split()) >= 3):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    finished = {int(first) for first in done.read_text().split()}
    store = open_store(SHIPPED_ID, view, workers=1)
    assert sorted(rendered) == sorted(set(range(20)) - finished)
    expected = replay(load(SHIPPED_ID), view, range(20))
    np.testing.assert_array_equal(store.frames, np.concatenate(list(expected)))


@pytest.mark.slow
def test_two_workers_render_what_one_renders(
    tiny: str, store: PixelStore, tiny_view: View, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LATENTCTX_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(store_module, "CHUNK", 2)
    parallel = open_store(tiny, tiny_view, workers=2)
    assert parallel.path != store.path
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(parallel, name), getattr(store, name))


def test_a_store_is_not_begun_without_the_disk_space_for_it(
    tiny: str, tiny_view: View, refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(100_000))
        with refuses("needs 0.1 MB more", "LATENTCTX_CACHE", error=DatasetError):
            open_store(tiny, tiny_view, workers=1)
    assert len(open_store(tiny, tiny_view, workers=1)) == 4


@pytest.mark.slow
def test_a_script_without_a_guard_renders_in_processes_and_a_kill_leaves_none(
    tmp_path: Path,
    workers_in: Callable[[Path], list[str]],
    wait_for: Callable[[Callable[[], object]], None],
) -> None:
    (tmp_path / "script.py").write_text(
        f"""
from latentctx_datasets import View, store
store.CHUNK = 1
store.open_store({SHIPPED_ID!r}, {View(image_size=40)!r}, workers=2)
"""
    )
    script = [sys.executable, "script.py"]
    load(SHIPPED_ID)
    partial = partial_folder(SHIPPED_ID, View(image_size=40))
    process = subprocess.Popen(script, cwd=tmp_path, stderr=subprocess.DEVNULL)
    wait_for(lambda: (partial / DONE).exists() and len((partial / DONE).read_text().split()) >= 2)
    assert len(workers_in(partial)) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not workers_in(partial))
    subprocess.run(script, cwd=tmp_path, check=True, timeout=60, stderr=subprocess.DEVNULL)
    store = open_store(SHIPPED_ID, View(image_size=40), workers=1)
    expected = replay(load(SHIPPED_ID), View(image_size=40), range(20))
    np.testing.assert_array_equal(store.frames, np.concatenate(list(expected)))


def test_a_full_disk_is_told_before_the_first_frame_and_to_the_build_that_goes_on(
    tiny: str, tiny_view: View, refuses: Refuses, monkeypatch: pytest.MonkeyPatch, rendered: list[int]
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for _ in range(2):  # a new build, and one whose file is there
        with monkeypatch.context() as patch:
            patch.setattr(os, "posix_fallocate", full)
            with refuses("MB more in", "make room or set LATENTCTX_CACHE", error=DatasetError):
                open_store(tiny, tiny_view, workers=1)
    assert partial_folder(tiny, tiny_view).joinpath("frames.npy").exists() and rendered == []
    assert len(open_store(tiny, tiny_view, workers=1)) == 4
    frames = (open_store(tiny, tiny_view).path / "frames.npy").stat()
    assert 512 * frames.st_blocks >= frames.st_size


def cut_frames(path: Path) -> None:
    with (path / "frames.npy").open("r+b") as file:
        file.truncate(1000)


def flip_a_byte(path: Path) -> None:
    with (path / "frames.npy").open("r+b") as file:
        file.seek(5000)
        byte = file.read(1)[0]
        file.seek(5000)
        file.write(bytes([byte ^ 1]))


def remove_actions(path: Path) -> None:
    (path / "actions.npy").unlink()


def remove_actions_and_stamp(path: Path) -> None:
    (path / "actions.npy").unlink()
    (path / STAMP).unlink()


def edit_manifest(path: Path, **changes: Any) -> None:
    manifest = {**json.loads((path / MANIFEST).read_text()), **changes}
    kept = {key: value for key, value in manifest.items() if value is not None}
    (path / MANIFEST).write_text(json.dumps(kept))


def cut_manifest(path: Path) -> None:
    (path / MANIFEST).write_text('{"key": ')


def list_as_manifest(path: Path) -> None:
    (path / MANIFEST).write_text("[]")


def remove_manifest(path: Path) -> None:
    (path / MANIFEST).unlink()


def remove_sizes(path: Path) -> None:
    edit_manifest(path, bytes=None)


def garble_view(path: Path) -> None:
    edit_manifest(path, view={"size": 3})


def remove_dataset_id(path: Path) -> None:
    edit_manifest(path, dataset_id=None)


def claim_another_format(path: Path) -> None:
    edit_manifest(path, format_version=999)


def claim_another_key(path: Path) -> None:
    edit_manifest(path, key="0" * 24)


DAMAGES = {
    cut_frames: "frames.npy has 1000 bytes instead of",
    flip_a_byte: "frames.npy was changed",
    remove_actions: "actions.npy has 0 bytes",
    remove_actions_and_stamp: "actions.npy has 0 bytes",
    cut_manifest: "manifest is missing or damaged",
    list_as_manifest: "manifest is missing or damaged",
    remove_manifest: "manifest is missing or damaged",
    remove_sizes: "manifest is missing or damaged",
    garble_view: "manifest is missing or damaged",
    remove_dataset_id: "manifest is missing or damaged",
    claim_another_format: "manifest is missing or damaged",
    claim_another_key: "manifest is missing or damaged",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_refused_with_the_folder_to_remove(
    damage: Callable[[Path], None], tiny: str, store: PixelStore, tiny_view: View, refuses: Refuses
) -> None:
    damage(store.path)
    with refuses(DAMAGES[damage], f"remove {store.path}", error=DatasetError):
        open_store(tiny, tiny_view)


@pytest.mark.parametrize("use", ["states", "pixels"])
def test_a_dataset_that_was_changed_after_its_store_is_told_and_asked_once(
    use: str, tiny: str, tiny_view: View, refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened() -> Any:
        return open_states(tiny) if use == "states" else open_store(tiny, tiny_view, workers=1)

    opened()
    with monkeypatch.context() as patch:
        patch.setattr(identity, "content_hash", None)  # nothing has changed: not looked into again
        opened()
    file = library.main_file(library.root() / tiny)
    os.utime(file)
    opened()
    with h5py.File(file, "a") as data:
        data["episode_1/actions"][5] = 0.25
    for _ in range(2):
        with refuses("changed after it was built", error=DatasetError):
            opened()


def test_the_frames_of_an_export_are_taken_out_of_it_and_kept_once(
    tiny: str, store: PixelStore, tiny_view: View, rendered: list[int]
) -> None:
    target = copies.export_pixels(tiny, pixels=tiny_view.image_size, profile=tiny_view.render_profile)
    own = open_store(target, tiny_view, workers=1)
    assert own.path == open_frames(target).path and not rendered
    np.testing.assert_array_equal(own.frames, store.frames)
    assert own.view == tiny_view and own.render_profile == store.render_profile


def test_an_export_seen_in_another_way_is_rendered_and_its_frames_are_no_observations(
    tiny: str, tiny_view: View, rendered: list[int]
) -> None:
    target = copies.export_pixels(tiny, pixels=tiny_view.image_size, profile="reference")
    seen = open_store(target, tiny_view, workers=1)
    assert rendered == [0, 1, 2, 3] and seen.observations.shape == (len(seen.frames), 0)
    np.testing.assert_array_equal(seen.frames, open_store(tiny, tiny_view, workers=1).frames)


def test_a_removed_store_is_rendered_again(
    tiny: str, store: PixelStore, tiny_view: View, rendered: list[int]
) -> None:
    shutil.rmtree(store.path)
    open_store(tiny, tiny_view, workers=1)
    assert rendered == [0, 1, 2, 3]


@pytest.mark.parametrize("stamp", ["{", "[]", "7", "{}"])
def test_a_damaged_stamp_only_costs_a_full_check(
    stamp: str, tiny: str, store: PixelStore, tiny_view: View
) -> None:
    intact = json.loads((store.path / STAMP).read_text())
    (store.path / STAMP).write_text(stamp)
    open_store(tiny, tiny_view)
    assert json.loads((store.path / STAMP).read_text()) == intact


def test_a_store_that_cannot_be_written_opens_and_is_checked_in_full(
    tiny: str, store: PixelStore, tiny_view: View, refuses: Refuses
) -> None:
    (store.path / STAMP).unlink()
    (store.path / STAMP).mkdir()  # no stamp can be written, not even by root
    store.path.chmod(0o555)
    try:
        assert len(open_store(tiny, tiny_view)) == 4
        status = (store.path / "frames.npy").stat()
        flip_a_byte(store.path)
        os.utime(store.path / "frames.npy", ns=(status.st_atime_ns, status.st_mtime_ns))
        with refuses("was changed", error=DatasetError):
            open_store(tiny, tiny_view)
    finally:
        store.path.chmod(0o755)


def test_a_state_store_holds_the_pixel_stores_other_arrays_and_feeds_windows(
    store: PixelStore, tiny: str
) -> None:
    states = open_states(tiny)
    for name in store_module.STATE_ARRAYS:
        np.testing.assert_array_equal(getattr(states, name), getattr(store, name))
    windows = [
        SequenceSampler(one, rng=np.random.default_rng(0), batch_size=3, length=4, pixels=False).sample()
        for one in (states, store)
    ]
    np.testing.assert_array_equal(windows[0].observations, windows[1].observations)
    with pytest.raises(ValueError, match="has no frames"):
        SequenceSampler(states, rng=np.random.default_rng(0), batch_size=3, length=4)
