"""The human kitchen demonstrations of Minari (`D4RL/kitchen/...-v2`), read into a dataset of this project.

    what         theirs                                         ours
    observation  Dict: observation (59), achieved_goal and      its "observation" alone, float32 (59)
                 desired_goal (a Dict of the target sub-tasks)
    action       a_t, float64                                   a_t, clipped to [-1, 1], float32
    reward       of the target sub-tasks, at every step         of the four that were completed, once each
    context      none                                           the first four sub-tasks that were completed, in order

Both hold one observation more than actions. All episodes of "partial" and "mixed" are the same demonstrations with other
rewards, which is why the order of the sub-tasks is found anew, from the positions of the objects.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import gymnasium as gym
import minari
import numpy as np
from gymnasium import spaces

from latentctx_datasets import library
from latentctx_datasets.library import DatasetError
from latentctx_datasets.writing import Record, record, write
from latentctx_envs.kitchen.context import WANTED, split_of
from latentctx_envs.kitchen.states import positions_of, states_of
from latentctx_envs.kitchen.subtasks import SUBTASKS, reached

ENV_ID = "LatentCtx-Kitchen-v0"
NUMBERS, JOINTS = 59, 9  # of an observation and an action
DEMONSTRATOR = "human"


class Imported(NamedTuple):
    """What became of a source dataset."""

    digest: str  # content hash of the new dataset
    kept: int  # episodes
    skipped: int  # episodes in which fewer than four sub-tasks were completed: their context is unknown


def import_kitchen(source_id: str, target_id: str) -> Imported:
    """Read a kitchen dataset of Minari's folder into a new one of `LatentCtx-Kitchen-v0`.

    Every step holds a physics state, so that pixels can be derived. It is what was observed, with upstream's noise of
    0.001 rad at most: exact to the eye, but rolling on from it is no replay. Steps after the fourth sub-task are kept.
    The 13 episodes that arXiv 2305.16985 drops as mislabelled are not: their numbers count the rows
    of another file, and the order found here needs no labels.

    Args:
        source_id: such as "D4RL/kitchen/mixed-v2".
        target_id: such as "latentctx/kitchen/mixed-v0".

    Raises:
        DatasetError: the source is not there or of another world, no episode completes four sub-tasks, or the target
            exists.
        ImportError: gymnasium-robotics is not installed.
    """
    library.refuse_taken(target_id)
    source = _source(source_id)
    orders = {
        int(episode.id): completed_order(_observations(episode)) for episode in source.iterate_episodes()
    }
    kept = {index: order[:WANTED] for index, order in orders.items() if len(order) >= WANTED}
    skipped = len(orders) - len(kept)
    if not kept:
        raise DatasetError(
            f"no episode of {source_id} completes {WANTED} sub-tasks: there is nothing to import."
        )
    description = (
        f"Human demonstrations of {source_id}; {skipped} with fewer than {WANTED} sub-tasks left out."
    )
    with gym.make(ENV_ID) as env:
        digest = write(
            target_id,
            _records(source, kept),
            env=env,
            command=f"latentctx data import-kitchen {source_id} --target {target_id}",
            metadata={"algorithm_name": DEMONSTRATOR, "description": description},
            max_return=float(WANTED),
            author=", ".join(sorted(source.storage.metadata.get("author", ["unknown"]))),
        )
    return Imported(digest, len(kept), skipped)


def completed_order(observations: np.ndarray) -> tuple[str, ...]:
    """The sub-tasks that observations (T + 1, 59) complete, by the first time within 0.3 of the goal.

    One that is at its goal from the start does not count: nobody completed it.
    """
    times = _times(observations)
    return tuple(sorted(times, key=times.__getitem__))


def _times(observations: np.ndarray) -> dict[str, int]:
    """Sub-task -> the first observation in which it is at its goal, of those that are completed."""
    near = reached(positions_of(observations))
    done = near.any(axis=0) & ~near[0]
    return {name: int(near[:, index].argmax()) for index, name in enumerate(SUBTASKS) if done[index]}


def _source(source_id: str) -> minari.MinariDataset:
    if not library.is_local(source_id):
        raise DatasetError(f"no {source_id} in {library.root()}: run `minari download {source_id}` first.")
    source = library.load(source_id)
    space, actions = source.observation_space, source.action_space
    part = space.get("observation") if isinstance(space, spaces.Dict) else None
    if part is None or (part.shape, actions.shape) != ((NUMBERS,), (JOINTS,)):
        raise DatasetError(
            f"{source_id} is not of FrankaKitchen-v1: expected a Dict with 'observation' of shape ({NUMBERS},) and "
            f"actions of shape ({JOINTS},); got {type(space).__name__} and {actions.shape}."
        )
    return source


def _observations(episode: minari.EpisodeData) -> np.ndarray:
    observations = episode.observations
    assert isinstance(observations, dict)  # as the space says
    return observations["observation"]


def _records(source: minari.MinariDataset, kept: Mapping[int, tuple[str, ...]]) -> Iterator[Record]:
    for episode in source.iterate_episodes(list(kept)):
        index = int(episode.id)
        yield record(
            _arrays(episode, kept[index]),
            context={"subtasks": list(kept[index])},
            demonstrator=DEMONSTRATOR,
            split=split_of(kept[index]),
            source_episode=index,
        )


def _arrays(episode: minari.EpisodeData, sequence: tuple[str, ...]) -> dict[str, np.ndarray]:
    observations = _observations(episode).astype(np.float64)
    steps = len(episode.actions)
    times = _times(observations)
    done = [times[name] for name in sequence]
    return {
        "observations": observations.astype(np.float32),
        "states": states_of(observations),
        "successes": np.arange(steps + 1) >= max(done),
        "actions": np.clip(episode.actions, -1.0, 1.0).astype(np.float32),
        "rewards": np.bincount(np.array(done) - 1, minlength=steps).astype(np.float64),
        "terminations": np.zeros(steps, bool),
        "truncations": np.arange(steps) == steps - 1,
    }
