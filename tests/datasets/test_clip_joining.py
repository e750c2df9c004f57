"""Sets of clips as one set: what is kept, what is refused, what a kill leaves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latentctx_datasets.library import DatasetError
from latentctx_datasets.videos import joining, open_clips
from latentctx_datasets.videos.building import build
from latentctx_datasets.videos.push import _plan, build_push


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sets")
    build(folder / "a", {**_plan(3, 0), "shard": 2, "sequences": [4, 4, 9]}, workers=1)
    return [folder / "a", build_push(folder / "b", clips=2, seed=1, workers=1).folder]


def test_a_joined_set_holds_all_clips_and_keeps_sequences_apart(tmp_path: Path, sets: list[Path]) -> None:
    both = joining.join("both", sets, tmp_path / "both")
    parts = [open_clips(part, labels=True) for part in sets]
    joined = open_clips(both.folder, labels=True)
    wanted = [clip for part in parts for clip in part]
    assert len(joined) == 5
    for clip, same in zip(joined, wanted, strict=True):
        np.testing.assert_array_equal(clip, same)
    np.testing.assert_array_equal(joined.hand, np.concatenate([part.hand for part in parts]))
    numbers = joined.facts["sequences"]
    assert numbers[0] == numbers[1] and len(set(numbers)) == 4
    trained, held_out = joined.split()
    assert sorted([*trained, *held_out]) == list(range(5)) and len(held_out) in (1, 2)
    assert joining.join("both", sets, tmp_path / "both").facts["content_hash"] == both.facts["content_hash"]
    assert (
        joining.join("turned", sets[::-1], tmp_path / "turned").facts["content_hash"]
        != both.facts["content_hash"]
    )


def test_how_frames_were_rendered_is_kept_where_all_sets_say_the_same(
    tmp_path: Path, sets: list[Path]
) -> None:
    assert joining.join("both", sets, tmp_path / "both").render_profile == "fast"
    build(tmp_path / "turbo", {**_plan(2, 2), "render_profile": "turbo"}, workers=1)
    mixed = joining.join("mixed", [sets[1], tmp_path / "turbo"], tmp_path / "mixed")
    assert mixed.render_profile is None and mixed.facts["interval_s"] > 0.0


def test_a_set_that_was_joined_before_profiles_were_kept_opens_again(
    tmp_path: Path, sets: list[Path]
) -> None:
    folder = joining.join("both", sets, tmp_path / "both").folder
    facts = json.loads((folder / "index.json").read_text())
    del facts["render_profile"]
    (folder / "index.json").write_text(json.dumps(facts))
    assert joining.join("both", sets, folder).render_profile is None


def test_an_interrupted_join_goes_on(
    tmp_path: Path, sets: list[Path], monkeypatch: pytest.MonkeyPatch, refuses: Callable[..., Any]
) -> None:
    bring, done = joining._bring, []

    def killed(source: Path, file: Path) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(file)
        bring(source, file)

    monkeypatch.setattr(joining, "_bring", killed)
    with pytest.raises(KeyboardInterrupt):
        joining.join("both", sets, tmp_path / "both")
    with refuses("holds no clips", error=DatasetError):
        open_clips(tmp_path / "both")
    monkeypatch.setattr(joining, "_bring", bring)
    with refuses("holds other clips", error=DatasetError):
        joining.join("both", sets[::-1], tmp_path / "both")
    assert len(joining.join("both", sets, tmp_path / "both")) == 5


def test_what_does_not_fit_is_refused(tmp_path: Path, sets: list[Path], refuses: Callable[..., Any]) -> None:
    build(tmp_path / "short", {**_plan(1, 5), "frames": 30, "clips": 1}, workers=1)
    with refuses("two sets at least; got 1"):
        joining.join("x", sets[:1], tmp_path / "x")
    with refuses("named twice"):
        joining.join("x", [sets[0], sets[0]], tmp_path / "x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with refuses("holds something else", error=DatasetError):
        joining.join("x", sets, tmp_path / "full")
    joining.join("both", sets, tmp_path / "both")
    with refuses("holds other clips", error=DatasetError):
        joining.join("both", [*sets, tmp_path / "short"], tmp_path / "both")
    lengthened = tmp_path / "short" / "index.json"
    lengthened.write_text(lengthened.read_text().replace('"frames": 30', '"frames": 29'))
    with refuses("build them alike", error=DatasetError):
        joining.join("x", [sets[1], tmp_path / "short"], tmp_path / "x")


def test_sets_with_clips_in_common_are_refused(
    tmp_path: Path, sets: list[Path], refuses: Callable[..., Any]
) -> None:
    build(tmp_path / "fewer", _plan(2, 0), workers=1)  # the beginning of the first set
    with refuses("a and fewer have clips in common", "another seed", error=DatasetError):
        joining.join("x", [*sets, tmp_path / "fewer"], tmp_path / "x")
    both = joining.join("both", sets, tmp_path / "both").folder
    with refuses("b and both have clips in common", error=DatasetError):
        joining.join("x", [sets[1], both], tmp_path / "x")
    assert not (tmp_path / "x").exists()
