"""The npz layout: what lies in its rows, the round trip, and folders that are not read."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import minari
import numpy as np
import pytest

from latentctx_datasets import RECIPES, DatasetError, Recipe, View, collect, identity, library, load, replay
from latentctx_datasets.npz_layout import read_npz, trajectory_files, write_npz

WORLD = "LatentCtx-WalkerWalk-v0"
COPY = "mine/walker-walk-v0"
Refuses = Callable[..., Any]


@pytest.fixture
def written(walker: str, tmp_path: Path) -> Path:
    """The tiny walker dataset in the npz layout."""
    assert write_npz(walker, tmp_path / "npz") == 3
    return tmp_path / "npz"


def rows_of(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def test_a_file_holds_the_layouts_arrays_with_a_row_an_observation(written: Path) -> None:
    rows = rows_of(written / "0.npz")
    assert {name: (array.shape, array.dtype) for name, array in rows.items()} == {
        "orientations": ((7, 14), np.float64),
        "height": ((7, 1), np.float64),
        "velocity": ((7, 9), np.float64),
        "reward": ((7, 1), np.float64),
        "is_first": ((7, 1), np.bool_),
        "is_last": ((7, 1), np.bool_),
        "is_terminal": ((7, 1), np.bool_),
        "pre_action": ((7, 6), np.float64),
    }


def test_row_t_holds_the_action_and_reward_that_led_to_its_observation(walker: str, written: Path) -> None:
    episode, rows = load(walker)[1], rows_of(written / "1.npz")
    np.testing.assert_array_equal(rows["pre_action"][0], 0.0)
    np.testing.assert_array_equal(rows["pre_action"][1:], episode.actions)
    assert rows["reward"][0] == 0.0
    np.testing.assert_array_equal(rows["reward"][1:, 0], episode.rewards)
    np.testing.assert_array_equal(rows["height"], episode.observations[:, 14:15])
    np.testing.assert_array_equal(rows["velocity"], episode.observations[:, 15:])
    np.testing.assert_array_equal(rows["is_first"][:, 0], [True] + [False] * 6)
    np.testing.assert_array_equal(rows["is_last"][:, 0], [False] * 6 + [True])
    assert not rows["is_terminal"].any()


def test_actions_beyond_their_bounds_are_written_clipped(
    walker: str, walker_recipe: Recipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Wild:
        def reset(self) -> None: ...

        def __call__(self, observation: Any, info: Any) -> np.ndarray:
            return np.full((len(observation), 6), -1.5, np.float32)

    monkeypatch.setattr(collect, "make_demonstrator", lambda name: Wild())
    wild = replace(walker_recipe, id="latentctx/walker/tiny-wild-v0")
    monkeypatch.setitem(RECIPES, wild.id, wild)
    collect.build(wild.id)
    write_npz(wild.id, tmp_path / "wild", episodes=1)
    np.testing.assert_array_equal(rows_of(tmp_path / "wild" / "0.npz")["pre_action"][1:], -1.0)


def test_a_round_trip_gives_the_same_episodes(walker: str, written: Path) -> None:
    digest = read_npz(written, COPY, env_id=WORLD, author="somebody")
    copy = minari.load_dataset(COPY)
    assert identity.verify(COPY) == digest
    for episode, original in zip(copy, load(walker), strict=True):
        for name in ("observations", "actions", "rewards", "terminations", "truncations"):
            got, expected = getattr(episode, name), getattr(original, name)
            np.testing.assert_array_equal(got, expected)
            assert got.dtype == expected.dtype
    assert list(copy.storage.metadata["author"]) == ["somebody"]
    env = library.recover(copy)
    assert env.spec is not None
    assert (env.spec.id, env.spec.max_episode_steps) == (WORLD, 500)
    assert env.observation_space == copy.observation_space


def test_a_round_trip_gives_the_same_files(written: Path, tmp_path: Path) -> None:
    read_npz(written, COPY, env_id=WORLD)
    write_npz(COPY, tmp_path / "again")
    for file in trajectory_files(written):
        rows, again = rows_of(file), rows_of(tmp_path / "again" / file.name)
        assert list(rows) == list(again)
        for name, array in rows.items():
            np.testing.assert_array_equal(array, again[name])


def test_images_are_written_if_asked_and_can_be_the_observation(walker: str, tmp_path: Path) -> None:
    view = View(image_size=8, render_profile="turbo")
    write_npz(walker, tmp_path / "npz", episodes=2, view=view)
    read_npz(tmp_path / "npz", COPY, env_id=WORLD, images=True)
    copy = minari.load_dataset(COPY)
    assert len(copy) == 2
    for episode, frames in zip(copy, replay(load(walker), view, range(2)), strict=True):
        np.testing.assert_array_equal(episode.observations, frames)
    assert library.recover(copy).observation_space == copy.observation_space


def test_trajectories_are_read_in_the_order_of_their_numbers(written: Path) -> None:
    for old, new in (("2", "10"), ("1", "9"), ("0", "004")):
        (written / f"{old}.npz").rename(written / f"{new}.npz")
    (written / "notes.npz").write_bytes(b"")
    assert [path.stem for path in trajectory_files(written)] == ["004", "9", "10"]


def test_an_episode_that_ended_by_itself_keeps_its_end(written: Path) -> None:
    rows = rows_of(written / "0.npz")
    rows["is_terminal"][-1] = True
    np.savez(written / "0.npz", **rows)  # type: ignore[arg-type]
    read_npz(written, COPY, env_id=WORLD)
    first, second, _ = minari.load_dataset(COPY)
    assert first.terminations[-1] and not first.truncations.any()
    assert second.truncations[-1] and not second.terminations.any()


def test_no_pixels_are_derived_from_files_without_physics_states(
    written: Path, tiny_view: View, refuses: Refuses
) -> None:
    read_npz(written, COPY, env_id=WORLD)
    with refuses("stores no physics states", error=DatasetError):
        next(replay(load(COPY), tiny_view, [0]))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def drop_height(file: Path) -> None:
    rows = rows_of(file)
    del rows["height"]
    np.savez(file, **rows)  # type: ignore[arg-type]


def shorten_rewards(file: Path) -> None:
    rows = rows_of(file)
    np.savez(file, **{**rows, "reward": rows["reward"][1:]})  # type: ignore[arg-type]


def pickle_actions(file: Path) -> None:
    rows = rows_of(file)
    np.savez(file, **{**rows, "pre_action": np.array([{}] * 7)})  # type: ignore[arg-type]


def changed(**arrays: Any) -> Callable[[Path], None]:
    """Writes the file with other arrays: functions of what is there."""

    def change(file: Path) -> None:
        rows = rows_of(file)
        np.savez(file, **{**rows, **{name: make(rows[name]) for name, make in arrays.items()}})

    return change


DAMAGES: dict[Callable[[Path], None], str] = {
    cut: "2.npz is damaged",
    drop_height: "height",
    shorten_rewards: "same number of rows",
    pickle_actions: "2.npz is damaged",
    changed(pre_action=lambda a: a[:, :4]): "pre_action must have 6 numbers a row; got shape (7, 4)",
    changed(velocity=lambda v: v[:, :8]): "velocity must have 9 numbers a row; got shape (7, 8)",
    changed(reward=lambda r: np.repeat(r, 2, axis=1)): "reward must be one number a row; got shape (7, 2)",
    changed(reward=lambda r: r * np.nan): "reward holds nan, infinity or no numbers",
    changed(height=lambda h: h.astype(str)): "height holds nan, infinity or no numbers",
}


IMAGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "(12, 8)": lambda image: np.repeat(image, 2, axis=1)[:, :12],
    "float32": lambda image: image.astype(np.float32) / 255,
    "(7,)": lambda image: image[:, 0, 0, 0],
    "(7, 6, 6, 3)": lambda image: image[:, :6, :6],
}


@pytest.mark.parametrize("got", IMAGES)
@pytest.mark.parametrize("number", [0, 1])  # the first file decides the size
def test_images_that_are_no_square_frames_of_one_size_are_refused(
    walker: str, tmp_path: Path, refuses: Refuses, got: str, number: int
) -> None:
    write_npz(walker, tmp_path / "npz", episodes=2, view=View(image_size=8, render_profile="turbo"))
    changed(image=IMAGES[got])(tmp_path / "npz" / f"{number}.npz")
    with refuses("image must be", "frames", "got", error=DatasetError):
        read_npz(tmp_path / "npz", COPY, env_id=WORLD, images=True)
    assert not library.is_local(COPY)


def test_actions_beyond_their_bounds_are_read_clipped(written: Path) -> None:
    changed(pre_action=lambda actions: actions + 7.0)(written / "0.npz")
    read_npz(written, COPY, env_id=WORLD)
    np.testing.assert_array_equal(load(COPY)[0].actions, 1.0)


@pytest.mark.parametrize("env_id", ["Foo-v0", "bad id", "CartPole-v1"])
def test_a_world_that_is_not_ours_is_refused(written: Path, refuses: Refuses, env_id: str) -> None:
    with refuses(f"{env_id} is no world of this project", "latentctx envs list", error=DatasetError):
        read_npz(written, COPY, env_id=env_id)


@pytest.mark.parametrize("episodes", [0, -1])
def test_no_episode_at_all_is_not_written(
    walker: str, tmp_path: Path, refuses: Refuses, episodes: int
) -> None:
    with refuses(f"episodes start at 1; got {episodes}", error=DatasetError):
        write_npz(walker, tmp_path / "npz", episodes=episodes)
    assert not (tmp_path / "npz").exists()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_trajectory_is_named_and_leaves_no_dataset(
    damage: Callable[[Path], None], written: Path, refuses: Refuses
) -> None:
    damage(written / "2.npz")
    with refuses(DAMAGES[damage], str(written / "2.npz"), error=DatasetError):
        read_npz(written, COPY, env_id=WORLD)
    assert not library.is_local(COPY)


def test_a_folder_without_trajectories_is_refused(walker: str, tmp_path: Path, refuses: Refuses) -> None:
    with refuses("holds no trajectories", "0.npz", error=DatasetError):
        read_npz(tmp_path, COPY, env_id=WORLD)


def test_a_world_of_several_tasks_is_refused(written: Path, refuses: Refuses) -> None:
    with refuses("LatentCtx-Walker-v0 has no task of its own", error=DatasetError):
        read_npz(written, COPY, env_id="LatentCtx-Walker-v0")


def test_nothing_is_overwritten(walker: str, written: Path, refuses: Refuses) -> None:
    with refuses("exists: move it away", error=DatasetError):
        write_npz(walker, written)
    with refuses("is already in", error=DatasetError):
        read_npz(written, walker, env_id=WORLD)


def test_what_a_killed_conversion_left_does_not_get_into_the_next(walker: str, tmp_path: Path) -> None:
    (tmp_path / ".npz.partial").mkdir()
    (tmp_path / ".npz.partial" / "7.npz").touch()
    write_npz(walker, tmp_path / "npz", episodes=2)
    assert sorted(path.name for path in tmp_path.glob("*npz*")) == [".npz.partial.lock", "npz"]
    assert [path.name for path in trajectory_files(tmp_path / "npz")] == ["0.npz", "1.npz"]


def test_other_worlds_have_no_such_layout(tiny: str, tmp_path: Path, refuses: Refuses) -> None:
    with refuses("cheetah and the walker", error=DatasetError):
        write_npz(tiny, tmp_path / "npz")
    assert not (tmp_path / "npz").exists()
