"""V-D4RL's files: what becomes of their rows, the store of their frames, and files that are not read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import minari
import numpy as np
import pytest

from latentctx_datasets import (
    DatasetError,
    SequenceSampler,
    View,
    identity,
    library,
    open_frames,
    open_states,
    replay,
)
from latentctx_datasets.vd4rl import import_vd4rl

ID = "vd4rl/walker/random-v0"
ROWS = 7
Refuses = Callable[..., Any]


def episode(seed: int, rows: int = ROWS) -> dict[str, np.ndarray]:
    """An episode in the layout of V-D4RL's files."""
    rng = np.random.default_rng(seed)
    return {
        "image": rng.integers(0, 256, (rows, 64, 64, 3), dtype=np.uint8),
        "action": np.concatenate([np.zeros((1, 6)), rng.uniform(-1, 1, (rows - 1, 6))]).astype(np.float32),
        "reward": np.concatenate([[0.0], rng.uniform(0, 2, rows - 1)]).astype(np.float32),
        "discount": np.ones(rows, np.float32),
        "is_first": np.arange(rows) == 0,
        "is_last": np.arange(rows) == rows - 1,
        "is_terminal": np.zeros(rows, bool),
    }


def write_folder(folder: Path, seeds: range) -> Path:
    folder.mkdir(parents=True)
    for seed in seeds:
        name = f"20220101T0000{seed:02d}-{'abcdef'[seed % 6] * 8}-{ROWS}.npz"
        np.savez_compressed(folder / name, **episode(seed))  # type: ignore[arg-type]
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three short episodes."""
    return write_folder(tmp_path / "walker_walk" / "random" / "64px", range(3))


def change(folder: Path, **changes: Any) -> Path:
    """The second file of a folder with arrays replaced, or left out (None)."""
    file = sorted(folder.glob("*.npz"))[1]
    rows = {name: value for name, value in {**episode(1), **changes}.items() if value is not None}
    np.savez_compressed(file, **rows)  # type: ignore[arg-type]
    return file


def test_row_t_holds_what_led_to_its_frame(folder: Path) -> None:
    digest, count = import_vd4rl([folder], ID)
    assert count == 3 and identity.verify(ID) == digest
    for seed, found in enumerate(minari.load_dataset(ID)):
        rows = episode(seed)
        np.testing.assert_array_equal(found.observations, rows["image"])
        np.testing.assert_array_equal(found.actions, rows["action"][1:])
        np.testing.assert_array_equal(np.asarray(found.rewards, np.float32), rows["reward"][1:])
        assert found.truncations[-1] and not found.terminations.any()


def test_the_world_is_that_of_the_task_as_dm_control_draws_and_rewards_it(folder: Path) -> None:
    import_vd4rl([folder], ID)
    dataset = minari.load_dataset(ID)
    env = library.recover(dataset)
    assert env.spec is not None and env.spec.id == "LatentCtx-WalkerWalk-v0"
    assert env.spec.kwargs["render_profile"] == "reference" and env.spec.kwargs["reward_mode"] == "sum"
    assert env.observation_space == dataset.observation_space
    assert library.info(ID)["contexts"] == 1


def test_several_folders_are_a_mix_in_their_order(folder: Path, tmp_path: Path) -> None:
    other = write_folder(tmp_path / "walker_walk" / "medium_replay" / "64px", range(3, 5))
    _, count = import_vd4rl([other, folder], ID)
    first = [found.observations[0, 0, 0] for found in minari.load_dataset(ID)]
    expected = [episode(seed)["image"][0, 0, 0] for seed in (3, 4, 0, 1, 2)]
    assert count == 5 and np.array_equal(first, expected)
    assert "medium_replay/64px" in str(minari.load_dataset(ID).storage.metadata["code_permalink"])


def test_the_cheetah_runs(folder: Path) -> None:
    import_vd4rl([folder], "vd4rl/cheetah/random-v0")
    env = library.recover(minari.load_dataset("vd4rl/cheetah/random-v0"))
    assert env.spec is not None and env.spec.id == "LatentCtx-CheetahRun-v0"


def test_flags_may_be_missing_and_numbers_may_have_an_axis(folder: Path) -> None:
    discount = np.ones((ROWS, 1), np.float32)
    discount[-1] = 0.0
    change(
        folder,
        is_first=None,
        is_last=None,
        is_terminal=None,
        discount=discount,
        reward=episode(1)["reward"][:, None],
    )
    import_vd4rl([folder], ID)
    found = minari.load_dataset(ID)[1]
    assert found.terminations[-1] and not found.truncations.any()
    np.testing.assert_array_equal(np.asarray(found.rewards, np.float32), episode(1)["reward"][1:])


def test_actions_are_clipped_as_the_world_clips_them(folder: Path) -> None:
    change(folder, action=2.0 * np.ones((ROWS, 6), np.float32))
    import_vd4rl([folder], ID)
    np.testing.assert_array_equal(minari.load_dataset(ID)[1].actions, 1.0)


def test_the_store_holds_the_frames_as_they_are_and_no_states(folder: Path) -> None:
    import_vd4rl([folder], ID)
    store = open_frames(ID)
    assert store.view == View(image_size=64, render_profile="reference")
    assert store.observations.shape == (3 * ROWS, 0) and store.contexts.shape[0] == 3
    assert np.array_equal(store.starts, [0, 7, 14]) and np.array_equal(store.lengths, [6, 6, 6])
    for seed in range(3):
        start, rows = store.starts[seed], episode(seed)
        np.testing.assert_array_equal(store.frames[start : start + ROWS], rows["image"])
        np.testing.assert_array_equal(store.actions[start : start + ROWS - 1], rows["action"][1:])
        assert not store.actions[start + ROWS - 1].any()
    assert open_frames(ID).path == store.path


def test_windows_of_the_store_keep_frames_and_actions_together(folder: Path) -> None:
    import_vd4rl([folder], ID)
    sampler = SequenceSampler(open_frames(ID), rng=np.random.default_rng(0), batch_size=40, length=3)
    batch = sampler.sample()
    assert batch.pixels is not None and batch.observations.shape == (40, 3, 0)
    known = {
        rows["image"][t].tobytes(): (rows["action"][t], t)
        for rows in map(episode, range(3))
        for t in range(ROWS)
    }
    for frames, actions, first in zip(batch.pixels, batch.previous_actions, batch.is_first, strict=True):
        for frame, action, begins in zip(frames, actions, first, strict=True):
            expected, time = known[frame.tobytes()]
            np.testing.assert_array_equal(action, expected)
            assert begins == (time == 0)


def test_such_a_dataset_has_no_states_and_no_other_frames(folder: Path, refuses: Refuses) -> None:
    import_vd4rl([folder], ID)
    with refuses("frames and no states", "pixels", error=DatasetError):
        open_states(ID)
    with refuses("stores no physics states", error=DatasetError):
        next(replay(minari.load_dataset(ID), View(image_size=64), [0]))


def test_a_dataset_of_states_stores_no_frames(tiny: str, refuses: Refuses) -> None:
    with refuses("stores no square frames", error=DatasetError):
        open_frames(tiny)


def without(name: str, value: Any = None) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        change(folder, **{name: value})

    return damage


def nan_action(folder: Path) -> None:
    action = episode(1)["action"]
    action[3, 2] = np.nan
    change(folder, action=action)


def cut(folder: Path) -> None:
    file = sorted(folder.glob("*.npz"))[1]
    file.write_bytes(file.read_bytes()[:2000])


def joined(folder: Path) -> None:
    change(folder, is_first=np.arange(ROWS) % 3 == 0)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a missing array": (without("action"), "expected image, action, reward, discount"),
    "84 px": (without("image", np.zeros((ROWS, 84, 84, 3), np.uint8)), "64 x 64 x 3"),
    "floats": (without("image", np.zeros((ROWS, 64, 64, 3), np.float32)), "float32"),
    "channels first": (without("image", np.zeros((ROWS, 3, 64, 64), np.uint8)), "64 x 64 x 3"),
    "a nan action": (nan_action, "action holds nan"),
    "an infinite reward": (without("reward", np.full(ROWS, np.inf)), "reward holds nan, infinity"),
    "another body": (without("action", np.zeros((ROWS, 21))), "action must have 6 numbers a row"),
    "other rows": (without("reward", np.zeros(ROWS - 1)), "same number of rows"),
    "one number": (without("discount", np.ones(())), "same number of rows"),
    "two episodes": (joined, "one episode"),
    "a pickle": (without("action", np.array([{}] * ROWS)), "is damaged"),
    "a truncated file": (cut, "is damaged"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_file_that_is_no_such_episode_is_named_in_one_line(
    name: str, folder: Path, refuses: Refuses
) -> None:
    damage, words = DAMAGES[name]
    damage(folder)
    with refuses(words, str(sorted(folder.glob("*.npz"))[1]), error=DatasetError):
        import_vd4rl([folder], ID)
    assert not library.is_local(ID)


@pytest.mark.parametrize("bad", ["vd4rl/humanoid/random-v0", "mine/random-v0", "walker-v0"])
def test_an_id_that_names_no_body_is_refused(bad: str, folder: Path, refuses: Refuses) -> None:
    with refuses("names the body, walker or cheetah", bad, error=DatasetError):
        import_vd4rl([folder], bad)


def test_folders_without_episodes_are_refused(tmp_path: Path, refuses: Refuses) -> None:
    with refuses("holds no episodes of V-D4RL", "one .npz an episode", error=DatasetError):
        import_vd4rl([tmp_path], ID)
    (tmp_path / "shard.hdf5").touch()
    with refuses("84 px files", "64px", error=DatasetError):
        import_vd4rl([tmp_path], ID)


def test_nothing_is_overwritten(folder: Path, refuses: Refuses) -> None:
    import_vd4rl([folder], ID)
    with refuses("is already in", error=DatasetError):
        import_vd4rl([folder], ID)
