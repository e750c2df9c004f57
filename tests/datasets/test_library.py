"""Ids, loading, verification and recovery refuse in words and touch nothing they should not."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from hypothesis import given, settings
from hypothesis import strategies as st

from latentctx_datasets import (
    DatasetError,
    DemonstrationCollector,
    View,
    collect,
    copies,
    identity,
    info,
    library,
    load,
    open_states,
    open_store,
    recover,
    store,
    verify,
)
from latentctx_envs.point_mass.env import PointMassEnv

SHIPPED_ID = "latentctx/point-mass/expert-small-v0"
BAD_IDS = [
    "",
    "foo",
    "../x-v0",
    "/abs-v0",
    "a/../x-v0",
    "a//b-v0",
    "a/b-v0/",
    "a b-v0",
    "a-v0\n",
    "ä-v0",
    "x-v",
]
Refuses = Callable[..., Any]


def hdf5(dataset_id: str) -> Path:
    return library.root() / dataset_id / "data" / "main_data.hdf5"


def listing(folder: Path) -> list[tuple[str, bytes]]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted((str(path), path.read_bytes()) for path in files)


@pytest.mark.parametrize("dataset_id", BAD_IDS)
@pytest.mark.parametrize(
    "use",
    [
        load,
        verify,
        info,
        collect.build,
        library.is_local,
        library.install_shipped,
        lambda name: open_store(name, View()),
        lambda name: copies.export_pixels(name, pixels=8),
    ],
    ids=["load", "verify", "info", "build", "is_local", "install", "open_store", "export"],
)
def test_a_malformed_id_is_refused_before_any_folder_is_touched(
    dataset_id: str, use: Callable[[str], Any], refuses: Refuses, tmp_path: Path
) -> None:
    with refuses("a dataset id looks like", repr(dataset_id), error=DatasetError):
        use(dataset_id)
    assert list(tmp_path.iterdir()) == []


def test_a_whole_dataset_outside_the_folder_is_out_of_reach(tiny: str, refuses: Refuses) -> None:
    shutil.move(library.root() / tiny, library.root().parent / "outside-v0")
    with refuses("a dataset id looks like", error=DatasetError):
        load("../outside-v0")


def test_an_export_under_a_malformed_id_is_refused(tiny: str, refuses: Refuses) -> None:
    with refuses("a dataset id looks like", error=DatasetError):
        copies.export_pixels(tiny, pixels=8, target_id="../x-v0")


@settings(max_examples=50, deadline=None)
@given(st.from_regex(library.ID_PATTERN) | st.text(alphabet="./-v01a\\ \n", max_size=12))
def test_every_accepted_id_lies_within_the_dataset_folder(text: str) -> None:
    try:
        library.check_id(text)
    except DatasetError:
        return
    inside = os.path.normpath(os.path.join("/datasets", text))
    assert inside == f"/datasets/{text}"


def test_a_shipped_dataset_is_installed_at_its_first_load() -> None:
    assert not library.is_local(SHIPPED_ID)
    assert load(SHIPPED_ID).total_episodes == 20
    assert library.is_local(SHIPPED_ID)
    size = sum(path.stat().st_size for path in library.SHIPPED_ROOT.rglob("*") if path.is_file())
    assert size < 700_000


@pytest.mark.slow
def test_two_processes_may_load_and_render_a_shipped_dataset_at_once() -> None:
    code = f"""
from latentctx_datasets import View, open_store
store = open_store({SHIPPED_ID!r}, View(image_size=8, render_profile="turbo"), workers=1)
print(int(store.frames.sum()))"""
    command = [sys.executable, "-c", code]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=100)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert answers[0] == answers[1] != ""
    assert not list(library.root().rglob("*.broken*"))


def test_a_dataset_that_is_not_built_is_named_with_its_command(refuses: Refuses) -> None:
    name = "latentctx/point-mass/expert-v0"
    with refuses("not built yet", f"`latentctx data build {name}`", error=DatasetError):
        load(name)


def test_an_unknown_dataset_is_refused_with_what_was_probably_meant(refuses: Refuses) -> None:
    with refuses(
        "no dataset 'latentctx/point-mas/expert-v0'", "latentctx/point-mass/expert-v0", error=DatasetError
    ):
        load("latentctx/point-mas/expert-v0")
    with refuses("no dataset 'mine-v0'", "`latentctx data list`", error=DatasetError):
        load("mine-v0")


def test_installing_a_dataset_that_does_not_ship_is_refused(tiny: str, refuses: Refuses) -> None:
    with refuses("does not ship", error=DatasetError):
        library.install_shipped(tiny)


def truncate(dataset_id: str) -> None:
    whole = hdf5(dataset_id).read_bytes()
    hdf5(dataset_id).write_bytes(whole[: len(whole) // 2])


def fill_with_garbage(dataset_id: str) -> None:
    hdf5(dataset_id).write_bytes(np.random.default_rng(0).bytes(50_000))


def remove_arrays(dataset_id: str) -> None:
    hdf5(dataset_id).unlink()


def empty_arrays(dataset_id: str) -> None:
    hdf5(dataset_id).write_bytes(b"")


def garble_metadata(dataset_id: str) -> None:
    (hdf5(dataset_id).parent / "metadata.json").write_text('{"total_episodes": ')


def list_as_metadata(dataset_id: str) -> None:
    (hdf5(dataset_id).parent / "metadata.json").write_text("[]")


def remove_last_episode(dataset_id: str) -> None:
    with h5py.File(hdf5(dataset_id), "a") as file:
        del file["episode_3"]


DAMAGES = [
    truncate,
    fill_with_garbage,
    remove_arrays,
    empty_arrays,
    garble_metadata,
    list_as_metadata,
    remove_last_episode,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_dataset_is_refused_in_one_line_and_nothing_is_deleted(
    damage: Callable[[str], None], tiny: str, refuses: Refuses
) -> None:
    damage(tiny)
    before = listing(library.root())
    for use in (load, verify, info):
        with refuses("damaged", f"run `latentctx data build {tiny}`", error=DatasetError):
            use(tiny)
    assert listing(library.root()) == before


def test_a_half_written_dataset_counts_as_not_built_and_is_not_deleted(tiny: str, refuses: Refuses) -> None:
    (hdf5(tiny).parent / "metadata.json").unlink()
    before = listing(library.root())
    with refuses("not built yet", error=DatasetError):
        load(tiny)
    assert listing(library.root()) == before


def test_a_half_written_copy_of_a_shipped_dataset_is_moved_aside_and_installed_again() -> None:
    half = hdf5(SHIPPED_ID)
    half.parent.mkdir(parents=True)
    half.write_text("half")
    assert load(SHIPPED_ID).total_episodes == 20
    aside = half.parents[1].with_name(".expert-small-v0.broken-1")
    assert (aside / "data" / "main_data.hdf5").read_text() == "half"


@pytest.mark.parametrize("episodes", [0, -1])
def test_an_empty_dataset_is_refused(
    episodes: int, tiny: str, edit_metadata: Callable[..., None], refuses: Refuses
) -> None:
    edit_metadata(tiny, total_episodes=episodes)
    with refuses("damaged", "episodes", error=DatasetError):
        load(tiny)


@pytest.mark.parametrize("array", ["rewards", "actions", "observations", "infos/physics_state"])
def test_verify_detects_a_changed_number(array: str, tiny: str, refuses: Refuses) -> None:
    assert verify(tiny) == identity.recorded_hash(load(tiny))
    with h5py.File(hdf5(tiny), "a") as file:
        values = file[f"episode_2/{array}"]
        values[7] = values[7] + 1e-4
    with refuses("changed after it was built", f"latentctx data build {tiny}", error=DatasetError):
        verify(tiny)


def test_verify_detects_another_context(tiny: str, refuses: Refuses) -> None:
    with h5py.File(hdf5(tiny), "a") as file:
        file["episode_1"].attrs["context_json"] = json.dumps({"goal": [0.0, 0.0]})
    with refuses("changed after it was built", error=DatasetError):
        verify(tiny)


def test_content_hash_ignores_the_bit_in_which_cpus_compute_rewards_differently(tiny: str) -> None:
    before = verify(tiny)
    with h5py.File(hdf5(tiny), "a") as file:
        rewards = file["episode_0/rewards"]
        rewards[:] = np.nextafter(rewards[:], 0.0)
    assert verify(tiny) == before


def test_verify_of_a_file_with_a_flipped_bit_is_right_or_refuses_in_one_line(tiny: str) -> None:
    raw, good, rng = hdf5(tiny).read_bytes(), verify(tiny), np.random.default_rng(0)
    refused = 0
    for place in rng.integers(len(raw), size=60):
        damaged = bytearray(raw)
        damaged[place] ^= 1 << rng.integers(8)
        hdf5(tiny).write_bytes(damaged)
        try:
            assert verify(tiny) == good  # a byte that holds nothing
        except DatasetError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 5


def test_a_dataset_of_another_maker_has_no_recorded_hash(
    tiny: str, edit_metadata: Callable[..., None], refuses: Refuses
) -> None:
    edit_metadata(tiny, content_hash=None)
    with h5py.File(hdf5(tiny), "a") as file:
        del file["episode_1"].attrs["context_json"]
    with refuses("not built by latentctx", error=DatasetError):
        verify(tiny)


def test_an_episode_that_is_missing_in_the_middle_is_told(tiny: str, refuses: Refuses) -> None:
    with h5py.File(hdf5(tiny), "a") as file:
        del file["episode_1"]
    with refuses("damaged", f"run `latentctx data build {tiny}`", error=DatasetError):
        info(tiny)


def test_two_processes_may_make_one_namespace(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minari.namespace.list_local_namespaces", answers([], [], ["ours"]))
    (library.root() / "ours").mkdir()
    (library.root() / "ours" / "namespace_metadata.json").write_text("{}")
    shutil.copytree(library.root() / tiny, library.root() / "copy")
    library.adopt(library.root() / "copy", "ours/tiny-v0")
    assert library.is_local("ours/tiny-v0")


def answers(*values: list[str]) -> Callable[[], list[str]]:
    """A function that returns one after the other."""
    left = iter(values)
    return lambda: next(left)


def hostile(spec: str, folder: Path, *, wrapper: bool = False) -> str:
    """The spec with a call of `os.mkdir(path=folder)` in it."""
    values = json.loads(spec)
    if wrapper:
        call = {"name": "w", "entry_point": "os:mkdir", "kwargs": {"path": str(folder)}}
        values["additional_wrappers"] = [call]
    else:
        values |= {"entry_point": "os:mkdir", "kwargs": {"path": str(folder)}}
    return json.dumps(values)


@pytest.mark.parametrize("wrapper", [False, True])
@pytest.mark.parametrize("key", ["env_spec", "eval_env_spec"])
def test_recover_calls_nothing_outside_the_project(
    key: str, wrapper: bool, tiny: str, edit_metadata: Callable[..., None], refuses: Refuses, tmp_path: Path
) -> None:
    spec = load(tiny).storage.metadata[key]
    edit_metadata(tiny, **{key: hostile(spec, tmp_path / "called", wrapper=wrapper)})
    with refuses("wants to call 'os:mkdir'", "latentctx_envs.", error=DatasetError):
        recover(load(tiny), eval_env=key == "eval_env_spec")
    assert not (tmp_path / "called").exists()


class OwnEnv(PointMassEnv):
    """A world of the user's own."""


def make_own(**settings: Any) -> OwnEnv:
    return OwnEnv(**settings)


def test_a_world_of_ones_own_is_recovered_and_rendered_where_it_is_registered(
    tiny: str, edit_metadata: Callable[..., None], refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = EnvSpec("Own-World-v0", entry_point=f"{__name__}:OwnEnv", max_episode_steps=100)
    edit_metadata(tiny, env_spec=spec.to_json(), eval_env_spec=None)
    with refuses("if Own-World-v0 is yours, import the module that registers it", error=DatasetError):
        recover(load(tiny))
    monkeypatch.setitem(gym.registry, spec.id, spec)
    with recover(load(tiny)) as env:
        assert type(env.unwrapped) is OwnEnv
    monkeypatch.setattr(store, "CHUNK", 2)
    assert open_store(tiny, View(image_size=8), workers=2).frames.shape == (404, 8, 8, 3)
    recorded = EnvSpec(
        spec.id, entry_point="__main__:OwnEnv", max_episode_steps=100
    )  # by the script that registers it
    edit_metadata(tiny, env_spec=recorded.to_json())
    with recover(load(tiny)) as env:
        assert type(env.unwrapped) is OwnEnv
    made_by_a_function = EnvSpec(spec.id, entry_point=f"{__name__}:make_own")
    with refuses("by an entry point as 'module:Class'", error=DatasetError):  # nobody could read it
        DemonstrationCollector(gym.make(made_by_a_function), "mine/own-v0")
    elsewhere = EnvSpec(spec.id, entry_point="os:mkdir")
    monkeypatch.setitem(gym.registry, spec.id, elsewhere)
    edit_metadata(tiny, env_spec=elsewhere.to_json())
    with refuses("wants to call 'os:mkdir'", error=DatasetError):
        recover(load(tiny))


@pytest.mark.parametrize("space", ["observation_space", "action_space"])
def test_load_refuses_metadata_without_spaces_and_calls_nothing(
    space: str, tiny: str, edit_metadata: Callable[..., None], refuses: Refuses, tmp_path: Path
) -> None:
    spec = load(tiny).storage.metadata["env_spec"]
    edit_metadata(tiny, env_spec=hostile(spec, tmp_path / "called"), **{space: None})
    with refuses("names no spaces", error=DatasetError):
        load(tiny)
    assert not (tmp_path / "called").exists()


def test_recover_refuses_a_dataset_without_an_environment(
    tiny: str, edit_metadata: Callable[..., None], refuses: Refuses
) -> None:
    edit_metadata(tiny, env_spec=None, eval_env_spec=None)
    with refuses("names no environment", error=DatasetError):
        recover(load(tiny))


def test_recover_overrides_keyword_arguments(tiny: str) -> None:
    with recover(load(tiny), observation="pixels", image_size=16) as env:
        assert env.observation_space.shape == (16, 16, 3)


def test_info_counts_episodes_steps_contexts_and_success(tiny: str) -> None:
    facts = info(tiny)
    assert (facts["episodes"], facts["steps"], facts["contexts"]) == (4, 400, 4)
    assert 0.0 <= facts["success_rate"] <= 1.0
    assert facts["content_hash"] == verify(tiny)
    assert json.loads(json.dumps(facts)) == facts


def test_a_dataset_that_was_moved_is_verified_where_it_lies(refuses: Refuses) -> None:
    load(SHIPPED_ID)
    moved = "mine/renamed-v0"
    hdf5(moved).parents[2].mkdir()
    (library.root() / SHIPPED_ID).rename(library.root() / moved)
    assert len(open_states(moved)) == 20
    with h5py.File(hdf5(moved), "r+") as file:
        file["episode_0/actions"][0] = 0.123  # type: ignore[index]
    with refuses("mine/renamed-v0 was changed after it was built"):
        identity.verify_recorded(load(moved))
