"""Clips of Meta-World's demonstrations: the goal environment's picture, cut so that nothing is lost."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from latentctx_datasets import RECIPES, collect, load
from latentctx_datasets.library import DatasetError
from latentctx_datasets.videos import open_clips
from latentctx_datasets.videos.meta_world import _starts, build_meta_world, dataset_of

pytestmark = pytest.mark.filterwarnings("ignore:Constant.s. may be too high")  # of the scripted policies
TINY = "latentctx/push/tiny-v0"
STEPS = 9  # of an episode: states 0 to 9, of which 1, 3, 5, 7, 9 are shown


@pytest.fixture
def pushes(monkeypatch: pytest.MonkeyPatch) -> str:
    """Three beginnings of push-v3, of nine steps each."""
    recipe = RECIPES["latentctx/meta-world/push-expert-v0"]
    few = list(itertools.islice(recipe.plans(), 3))
    settings = {"task": "push-v3", "max_episode_steps": STEPS}
    tiny = replace(recipe, id=TINY, env_kwargs=settings, plans=lambda: iter(few))
    monkeypatch.setitem(RECIPES, TINY, tiny)
    collect.build(TINY)
    return TINY


def test_frames_are_those_that_the_goal_environment_shows(pushes: str, tmp_path: Path) -> None:
    build_meta_world(pushes, tmp_path / "push", frames=3, workers=1)
    clips, dataset = open_clips(tmp_path / "push", labels=True), load(pushes)
    env: Any = gym.make("LatentCtx-MetaWorldGoal-v0", task="push-v3", observation="pixels").unwrapped
    assert len(clips) == 6 and clips.facts["interval_s"] == env.settings.action_repeat / env.render_fps
    extras = list(dataset.storage.get_episode_metadata(range(3)))
    for number, clip in enumerate(clips):
        episode, shown = dataset[number // 2], ((1, 3, 5), (5, 7, 9))[number % 2]
        assert episode.infos is not None
        context = json.loads(extras[number // 2]["context_json"])
        seen = [env.frame(episode.infos["physics_state"][time], context) for time in shown]
        np.testing.assert_array_equal(clip, seen)
        np.testing.assert_array_equal(clips.hand[number, :, :3], episode.observations[list(shown), :3])
    observation, _ = env.reset(seed=0, options={"context": context})
    np.testing.assert_array_equal(observation["observation"], env.frame(env.physics_state(), context))


def test_actions_are_not_in_the_folder_and_demonstrations_stay_together(
    pushes: str, tmp_path: Path, refuses: Callable[..., Any]
) -> None:
    folder = build_meta_world(pushes, tmp_path / "push", frames=3, workers=1).folder
    assert {path.name[:-8] for path in folder.glob("*.npy")} == {"frames", "hand"}
    with refuses("holds no actions", "meta-world, gives none", error=DatasetError):
        _ = open_clips(folder, labels=True).actions
    trained, held_out = open_clips(folder).split()
    assert len(held_out) == 2 and held_out[0] // 2 == held_out[1] // 2  # both clips of one demonstration
    assert not {clip // 2 for clip in trained} & {clip // 2 for clip in held_out}


@pytest.mark.parametrize(("steps", "frames"), [(9, 3), (40, 16), (61, 16), (62, 16), (30, 16)])
def test_clips_cover_a_demonstration_to_its_last_state(steps: int, frames: int) -> None:
    starts = _starts(steps, frames)
    shown = {start + 2 * time for start in starts for time in range(frames)}
    assert max(shown) == steps and min(shown) == steps % 2
    assert shown == set(range(steps % 2, steps + 1, 2))
    assert len(starts) == -(-len(shown) // frames)


def test_what_cannot_be_filmed_is_refused(pushes: str, tmp_path: Path, refuses: Callable[..., Any]) -> None:
    with refuses("no demonstration", "has 6 frames", "the longest has 5", error=DatasetError):
        build_meta_world(pushes, tmp_path / "push", frames=6)
    with refuses("is not built yet", "latentctx data build", error=DatasetError):
        build_meta_world("reach-v3")
    with refuses("did you mean", error=DatasetError):
        build_meta_world("puhs-v3")
    with refuses("at least 2 frames; got 1"):
        build_meta_world(pushes, frames=1)
    assert dataset_of("push-v3") == dataset_of("push") == "latentctx/meta-world/push-expert-v0"


def test_other_worlds_are_refused(walker: str, refuses: Callable[..., Any]) -> None:
    with refuses("no demonstrations of Meta-World", error=DatasetError):
        build_meta_world(walker)
