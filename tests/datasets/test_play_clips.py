"""Clips of Meta-World's arm at random actions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latentctx_datasets.library import DatasetError
from latentctx_datasets.videos import building, open_clips
from latentctx_datasets.videos.joining import join
from latentctx_datasets.videos.play import _plan, build_play
from latentctx_envs.meta_world.goal_env import ACTION_REPEAT

SMALL = {"clips": 5, "frames": 26, "tasks": ("reach-v3", "push-v3"), "render_profile": "turbo", "workers": 1}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_play(tmp_path_factory.mktemp("play") / "play", **SMALL).folder


def test_the_hand_follows_the_actions_through_clips_of_one_episode(played: Path) -> None:
    clips = open_clips(played, labels=True)
    assert len(clips) == 5 and clips.facts["sequences"] == [0, 0, 0, 1, 1]
    assert clips[0].shape == (26, 64, 64, 3) and clips.actions.shape == (5, 25, 4)
    went = np.diff(clips.hand[..., :3], axis=1)
    for axis in range(3):  # a servo lags: what was asked for so far, not the last action alone
        asked = clips.actions[..., axis]
        assert np.corrcoef(went[:, 1:, axis].ravel(), (asked[:, 1:] + asked[:, :-1]).ravel())[0, 1] > 0.5
    gap = np.linalg.norm(clips.hand[1, 0, :3] - clips.hand[0, -1, :3])
    assert 0.0 < gap < 0.05  # [m]: the second clip goes on a step after the first
    assert not np.array_equal(clips[0][0], clips[3][0])


def test_clips_of_the_arm_say_how_many_control_steps_lie_between_frames(played: Path, tmp_path: Path) -> None:
    other = build_play(tmp_path / "other", **{**SMALL, "clips": 1}, seed=1)
    assert open_clips(played).action_repeat == ACTION_REPEAT
    both = join("both", [played, other.folder], tmp_path / "both")
    assert (both.action_repeat, both.family) == (ACTION_REPEAT, "meta-world")
    index = both.folder / "index.json"  # of a set that was joined before it was said
    index.write_text(json.dumps({k: v for k, v in both.facts.items() if k != "action_repeat"}))
    assert open_clips(both.folder).action_repeat is None


def test_shards_hold_whole_episodes_and_the_seed_decides_all(played: Path, tmp_path: Path) -> None:
    plan = _plan(5, 26, ("reach-v3", "push-v3"), "turbo", 0)
    assert plan["shard"] % 3 == 0
    cut = {**plan, "shard": 3}  # two files instead of one
    building.build(tmp_path / "cut", cut, workers=1)
    for one, same in zip(open_clips(tmp_path / "cut"), open_clips(played), strict=True):
        np.testing.assert_array_equal(one, same)
    other = build_play(tmp_path / "other", **{**SMALL, "clips": 1}, seed=1)
    assert not np.array_equal(other[0], open_clips(played)[0])


def test_what_cannot_be_filmed_is_refused(played: Path, tmp_path: Path, refuses: Callable[..., Any]) -> None:
    for wrong in ({"clips": 0}, {"seed": -1}, {"frames": 1}, {"frames": 102}, {"tasks": ()}):
        with refuses("clips start at 1"):
            build_play(tmp_path / "x", **{**SMALL, **wrong})
    with refuses("holds other clips", error=DatasetError):
        build_play(played, **SMALL, seed=3)
    with refuses("no-such-v3"):
        build_play(tmp_path / "y", **{**SMALL, "tasks": ("no-such-v3",)})
    assert not (tmp_path / "y").exists()  # the corrected command finds nothing else there
