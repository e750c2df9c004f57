"""The importer of Minari's kitchen demonstrations: orders found, contexts and splits, pixels, refusals."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import minari
import numpy as np
import pytest
from minari.data_collector import EpisodeBuffer

from latentctx_agents.cli import main
from latentctx_datasets import DatasetError, View, identity, library, load, recover, replay
from latentctx_datasets.copies import export_pixels
from latentctx_datasets.kitchen_layout import completed_order, import_kitchen
from latentctx_envs.kitchen.context import TEST
from latentctx_envs.kitchen.model import START
from latentctx_envs.kitchen.subtasks import GOALS

SOURCE, TARGET = "D4RL/kitchen/tiny-v2", "latentctx/kitchen/tiny-v0"
OTHER = ("hinge cabinet", "top burner", "microwave", "slide cabinet", "kettle")  # a fifth is completed, too
SHORT = ("kettle", "microwave", "light switch")
Refuses = Callable[..., Any]


def observations(*order: str, done: tuple[str, ...] = ()) -> np.ndarray:
    """Upstream's observations (4 n + 3, 59), in which the n sub-tasks reach their goals one after the other."""
    positions = np.tile(START, (4 * len(order) + 3, 1))
    positions[:, :9] += np.linspace(0.0, 0.2, len(positions))[:, None]
    for name in done:
        positions[:, GOALS[name].columns] = GOALS[name].values
    for number, name in enumerate(order):
        columns, goal = GOALS[name]
        share = np.clip((np.arange(len(positions)) - 4 * number) / 4, 0.0, 1.0)[:, None]
        positions[:, columns] += share * (np.array(goal) - positions[:, columns])
    velocities = np.arange(29) / 100 + np.zeros((len(positions), 1))
    return np.concatenate([positions[:, :9], velocities[:, :9], positions[:, 9:], velocities[:, 9:]], axis=1)


def episode(number: int, *order: str) -> EpisodeBuffer:
    """An episode in upstream's layout, with its nested goals."""
    seen = observations(*order)
    positions = np.concatenate([seen[:, :9], seen[:, 18:39]], axis=1)
    targets = TEST[0]
    steps = len(seen) - 1
    return EpisodeBuffer(
        id=number,
        observations={
            "observation": seen,
            "achieved_goal": {name: positions[:, GOALS[name].columns] for name in targets},
            "desired_goal": {name: np.tile(GOALS[name].values, (steps + 1, 1)) for name in targets},
        },
        actions=np.random.default_rng(number).uniform(-1.2, 1.2, (steps, 9)),  # type: ignore[arg-type]
        rewards=[7.0] * steps,
        terminations=[False] * steps,
        truncations=[False] * (steps - 1) + [True],
        infos={"ctrl": np.zeros((steps + 1, 9))},
    )


@pytest.fixture(scope="module")
def upstream() -> Iterator[gym.Env[Any, Any]]:
    import gymnasium_robotics

    gym.register_envs(gymnasium_robotics)
    kwargs: dict[str, Any] = {"tasks_to_complete": list(TEST[0]), "max_episode_steps": 450}
    with gym.make("FrankaKitchen-v1", disable_env_checker=True, **kwargs) as env:
        yield env


def write_source(dataset_id: str, env: gym.Env[Any, Any], *orders: tuple[str, ...]) -> str:
    """Write a dataset as Minari does, of one episode for each order; its id."""
    minari.create_dataset_from_buffers(
        dataset_id,
        [episode(number, *order) for number, order in enumerate(orders)],
        env=env,
        eval_env=env.spec,
        author={"Somebody"},
        author_email={"unknown"},
        code_permalink="none",
        algorithm_name="none",
        description="Scripted episodes.",
    )
    return dataset_id


@pytest.fixture
def source(upstream: gym.Env[Any, Any]) -> str:
    """Id of a dataset of a test sequence, one that is too short, the first in reverse, and five sub-tasks."""
    return write_source(SOURCE, upstream, TEST[0], SHORT, tuple(reversed(TEST[0])), OTHER)


def test_order_is_that_of_the_first_times_at_the_goals() -> None:
    assert completed_order(observations(*OTHER)) == OTHER
    assert completed_order(observations()) == ()


def test_a_subtask_that_is_done_at_the_start_does_not_count() -> None:
    assert completed_order(observations("kettle", "microwave", done=("top burner",))) == (
        "kettle",
        "microwave",
    )


def test_contexts_are_the_first_four_in_order_and_short_episodes_are_counted(source: str) -> None:
    digest, kept, skipped = import_kitchen(source, TARGET)
    assert (kept, skipped) == (3, 1) and identity.verify(TARGET) == digest
    dataset = load(TARGET)
    extras = list(dataset.storage.get_episode_metadata(range(3)))
    contexts = [tuple(json.loads(extra["context_json"])["subtasks"]) for extra in extras]
    assert contexts == [TEST[0], tuple(reversed(TEST[0])), OTHER[:4]]
    assert [extra["split"] for extra in extras] == ["test", "train", "train"]
    assert [int(extra["source_episode"]) for extra in extras] == [0, 2, 3]
    assert all(extra["demonstrator"] == "human" and extra["success"] for extra in extras)
    assert "1 with fewer than 4 sub-tasks" in dataset.storage.metadata["description"]
    assert list(dataset.storage.metadata["author"]) == ["Somebody"]


def test_steps_keep_their_places_and_each_of_the_four_is_paid_once(source: str) -> None:
    import_kitchen(source, TARGET)
    theirs, ours = minari.load_dataset(source)[3], load(TARGET)[2]
    np.testing.assert_array_equal(ours.observations, theirs.observations["observation"].astype(np.float32))
    np.testing.assert_array_equal(ours.actions, np.clip(theirs.actions, -1, 1).astype(np.float32))
    assert ours.rewards.sum() == 4.0 and set(ours.rewards) == {0.0, 1.0}
    fourth = np.flatnonzero(ours.rewards)[3]
    assert ours.infos is not None
    success = ours.infos["success"]
    assert success[fourth + 1 :].all() and not success[: fourth + 1].any()
    assert not ours.terminations.any() and np.flatnonzero(ours.truncations).tolist() == [
        len(ours.actions) - 1
    ]


def test_recovered_world_starts_in_a_stored_state_and_sees_what_was_stored(source: str) -> None:
    import_kitchen(source, TARGET)
    dataset = load(TARGET)
    stored = dataset[0]
    assert stored.infos is not None
    with recover(dataset, robot_noise_ratio=0.0, object_noise_ratio=0.0) as env:
        for step in (0, 9, len(stored.actions)):
            options = {"context": {"subtasks": TEST[0]}, "physics_state": stored.infos["physics_state"][step]}
            seen, _ = env.reset(options=options)
            np.testing.assert_array_equal(seen, stored.observations[step])
        completed = env.unwrapped.completed  # type: ignore[attr-defined]
    assert completed == TEST[0]


def test_pixels_are_derived_and_show_the_open_microwave(source: str, tiny_view: View) -> None:
    import_kitchen(source, TARGET)
    dataset = load(TARGET)
    frames = next(replay(dataset, tiny_view, [0]))
    assert frames.shape == (len(dataset[0].observations), 12, 12, 3)
    with recover(dataset, observation="pixels", **tiny_view.arguments()) as env:
        start, _ = env.reset(seed=0)
    assert np.abs(frames[0].astype(int) - start).max() <= 1
    assert np.abs(frames[-1].astype(int) - start).max() > 20
    copy = export_pixels(TARGET, pixels=12, profile="turbo")
    np.testing.assert_array_equal(load(copy)[0].observations, frames)


def test_command_says_what_was_left_out(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["data", "import-kitchen", source, "--target", TARGET])
    assert "3 episodes, 1 left out" in capsys.readouterr().out


def test_a_source_that_is_not_there_names_minaris_command(refuses: Refuses) -> None:
    with refuses("minari download D4RL/kitchen/mixed-v2", error=DatasetError):
        import_kitchen("D4RL/kitchen/mixed-v2", TARGET)


def test_datasets_of_other_worlds_are_refused(tiny: str, refuses: Refuses) -> None:
    with refuses("not of FrankaKitchen-v1", "(59,)", "(2,)", error=DatasetError):
        import_kitchen(tiny, TARGET)


def test_nothing_is_overwritten(source: str, refuses: Refuses) -> None:
    import_kitchen(source, TARGET)
    with refuses("is already in", error=DatasetError):
        import_kitchen(source, TARGET)


def test_a_source_without_a_whole_sequence_is_refused(upstream: gym.Env[Any, Any], refuses: Refuses) -> None:
    short = write_source("D4RL/kitchen/short-v2", upstream, SHORT)
    with refuses(f"no episode of {short} completes 4", error=DatasetError):
        import_kitchen(short, TARGET)
    assert not library.is_local(TARGET)
