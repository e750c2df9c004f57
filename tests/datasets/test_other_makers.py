"""Datasets that Minari alone recorded, of environments of other projects: frames, contents, refusals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer

from latentctx_datasets import (
    TransitionSampler,
    View,
    identity,
    load,
    open_frames,
    open_pixels,
    open_states,
)
from latentctx_datasets.library import main_file, others, root
from latentctx_datasets.mapped import cache_root

ID = "somebody/robot-v0"
Refuses = Callable[..., Any]
ACTIONS = spaces.Box(-1.0, 1.0, (2,), np.float64)


def frames_of(seed: int, size: int = 12, steps: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (steps + 1, size, size, 3), dtype=np.uint8)


def write(seen: Callable[[int], np.ndarray] = frames_of, actions: spaces.Space[Any] = ACTIONS) -> None:
    """Three episodes of five steps as another project would leave them."""
    episodes = [
        EpisodeBuffer(
            id=seed,
            observations=seen(seed),  # type: ignore[arg-type]
            actions=np.stack([np.full(actions.shape or (), seed * 0.1, actions.dtype) for _ in range(5)]),  # type: ignore[arg-type]
            rewards=[0.0] * 5,
            terminations=[False] * 5,
            truncations=[False] * 4 + [True],
        )
        for seed in range(3)
    ]
    shown = seen(0)
    high = 255 if shown.dtype == np.uint8 else np.inf
    low = 0 if shown.dtype == np.uint8 else -np.inf
    minari.create_dataset_from_buffers(
        ID,
        episodes,
        observation_space=spaces.Box(low, high, shown.shape[1:], shown.dtype.type),
        action_space=actions,
        algorithm_name="somebody",
        author={"somebody"},
        author_email={"somebody@example.org"},
        code_permalink="https://example.org",
        description="A robot elsewhere.",
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_stored_frames_are_sampled_as_they_are() -> None:
    write()
    store = open_pixels(ID, View(image_size=12))
    assert store.path == open_frames(ID).path
    assert (store.frames == np.concatenate([frames_of(seed) for seed in range(3)])).all()
    assert store.actions.dtype == np.float32 and store.contexts.shape == (3, 0)
    assert store.render_profile is None
    batch = TransitionSampler(store, rng=np.random.default_rng(0), batch_size=8).sample()
    assert batch.pixels.shape == (8, 12, 12, 3)
    assert others() == {ID: "A robot elsewhere."}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_frames_beside_other_observations_and_nested_infos_are_read_and_hashed() -> None:
    def write_dict(touch: float) -> None:
        episode = EpisodeBuffer(
            id=0,
            observations={"pixels": frames_of(0), "robot": {"joints": np.zeros((6, 3))}},
            actions=np.zeros((5, 2)),  # type: ignore[arg-type]
            rewards=[0.0] * 5,
            terminations=[False] * 5,
            truncations=[False] * 4 + [True],
            infos={"hand": {"touch": np.full(6, touch)}},
        )
        joints = spaces.Dict({"joints": spaces.Box(-1.0, 1.0, (3,), np.float64)})
        space = spaces.Dict({"pixels": spaces.Box(0, 255, (12, 12, 3), np.uint8), "robot": joints})
        minari.create_dataset_from_buffers(
            ID, [episode], observation_space=space, action_space=ACTIONS, algorithm_name="x", author={"x"},
            author_email={"x"}, code_permalink="x",
        )  # fmt: skip

    write_dict(0.0)
    first = identity.content_of(load(ID))
    assert (open_pixels(ID, View(image_size=12)).frames == frames_of(0)).all()
    minari.delete_dataset(ID)
    write_dict(1.0)
    assert identity.content_of(load(ID)) != first


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_content_is_computed_once_for_a_file_and_anew_when_it_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write()
    calls: list[str] = []
    real = identity.content_hash
    monkeypatch.setattr(identity, "content_hash", lambda dataset: calls.append("hashed") or real(dataset))
    first = identity.content_of(load(ID))
    assert identity.content_of(load(ID)) == first and calls == ["hashed"]
    before = open_frames(ID).path
    minari.delete_dataset(ID)
    write(lambda seed: frames_of(seed + 10))
    assert identity.content_of(load(ID)) != first
    assert open_frames(ID).path != before
    note = next((cache_root() / "hashes").iterdir())
    note.write_text("not json")
    assert identity.content_of(load(ID)) != first


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_datasets_that_were_moved_are_told_apart() -> None:
    for day, seed in (("monday", 0), ("tuesday", 10)):
        write(lambda number, seed=seed: frames_of(seed + number))
        (root() / ID).rename(
            root() / f"somebody/{day}-v0"
        )  # their metadata still name where they were written
        store = open_pixels(f"somebody/{day}-v0", View(image_size=12))
        assert (store.frames[:6] == frames_of(seed)).all()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_frames_of_another_size_and_actions_that_are_no_vectors_are_refused(refuses: Refuses) -> None:
    write()
    with refuses("stores frames of 12 px; 16 px are needed"):
        open_pixels(ID, View(image_size=16))
    with refuses("goal_visible=True needs physics states"):
        open_pixels(ID, View(image_size=12, goal_visible=True))
    minari.delete_dataset(ID)
    write(actions=spaces.Discrete(4))
    with refuses("actions must be vectors, a Box; got Discrete"):
        open_pixels(ID, View(image_size=12))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_states_of_another_maker_have_no_pixels(refuses: Refuses) -> None:
    write(lambda seed: np.zeros((6, 3, 2), np.float32))
    with refuses("states must be vectors, a Box"):
        open_states(ID)
    minari.delete_dataset(ID)
    write(lambda seed: np.zeros((6, 3), np.float32))
    assert open_states(ID).observations.shape == (18, 3)
    with refuses("stores neither frames", "nor physics states", "DemonstrationCollector"):
        open_pixels(ID, View(image_size=12))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_damaged_file_of_another_maker_is_told(tmp_path: Path, refuses: Refuses) -> None:
    write()
    dataset = load(ID)
    main_file(root() / ID).write_bytes(b"no data")
    with refuses("is damaged"):
        identity.content_of(dataset)
