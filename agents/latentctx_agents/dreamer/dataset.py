"""What an agent collected, as a dataset."""

from collections.abc import Iterable
from pathlib import Path

import gymnasium as gym
import minari
import numpy as np
from tqdm import tqdm

from latentctx_agents.dreamer.buffer import EpisodeBuffer, Episodes
from latentctx_agents.dreamer.config import DreamerConfig
from latentctx_agents.dreamer.train import EPISODES, first_seed
from latentctx_datasets import DemonstrationCollector, library
from latentctx_datasets.demonstrators.locomotion import ENV_IDS
from latentctx_envs.locomotion.protocol import ENV_KWARGS, most


def make_dataset(config: DreamerConfig, directory: Path, dataset_id: str) -> minari.MinariDataset:
    """Play the episodes of a run again, by their seeds and actions, into a dataset with states, physics and seeds.

    A killed or interrupted call goes on with the episode that it was at; what it made already it returns.

    Args:
        config: of the training.
        directory: its run folder.
        dataset_id: of the dataset, such as "latentctx/walker/plan2explore-v0".

    Raises:
        DatasetError: see `refuse_taken`.
        ValueError: an episode does not repeat, or another run's are being recorded under this id.
    """
    refuse_taken(config, directory, dataset_id)
    if library.is_local(dataset_id):
        return library.load(dataset_id)
    buffer = EpisodeBuffer(directory / EPISODES)
    name = "plan2explore" if config.explore else "dreamer"
    with DemonstrationCollector(gym.make(ENV_IDS[config.task], **ENV_KWARGS), dataset_id) as env:
        _refuse_other(env, buffer, first_seed(config))
        numbers = range(env.episodes, len(buffer))
        for number in tqdm(numbers, desc=f"record {dataset_id}", unit="ep", delay=1):
            try:
                _play(env, buffer.episode(number), first_seed(config) + number, number)
            except BaseException:  # an interrupt as well: the collector would keep what was played so far
                env.discard()
                raise
        made = env.create_dataset(
            demonstrator=name,
            description=f"All episodes that {name} collected in {config.rounds} rounds, from the first, random ones on.",
            max_return=most(config.task),
        )
    return made


def refuse_taken(config: DreamerConfig, directory: Path, dataset_id: str) -> None:
    """Refuse an id under which this run's episodes cannot be written, and are not written already.

    Args:
        config: of the training.
        directory: its run folder, if there is one yet.
        dataset_id: of the dataset.

    Raises:
        DatasetError: the id is none or a recipe's, or there is such a dataset of other episodes.
    """
    if not (library.is_local(dataset_id) and (directory / EPISODES).is_dir()):
        return library.refuse_taken(dataset_id)
    made, buffer = library.load(dataset_id), EpisodeBuffer(directory / EPISODES)
    seeds = (facts.get("seed") for facts in made.storage.get_episode_metadata(made.episode_indices))
    played = zip(seeds, (episode.actions for episode in made.iterate_episodes()), strict=True)
    if made.total_episodes != len(buffer) or not _are_own(played, buffer, first_seed(config)):
        library.refuse_taken(dataset_id)


def _play(env: DemonstrationCollector, episode: Episodes, seed: int, number: int) -> None:
    seen, actions, _ = episode
    now, _ = env.reset(seed=seed)
    for before, action in zip(seen, actions[1:], strict=False):
        _same(now, before, number)
        now, *_ = env.step(action)
    _same(now, seen[-1], number)


def _refuse_other(env: DemonstrationCollector, buffer: EpisodeBuffer, first: int) -> None:
    """Refuse to go on with what was recorded, but not made into a dataset, of another run."""
    played = ((facts["seed"], arrays["actions"]) for facts, arrays in env.kept())
    if not _are_own(played, buffer, first):
        raise ValueError(
            f"another run's episodes are being recorded under {env.dataset_id}: choose another id."
        )


def _are_own(played: Iterable[tuple[int | None, np.ndarray]], buffer: EpisodeBuffer, first: int) -> bool:
    """Whether seeds and actions are those of a run's episodes, from the first on."""
    return all(
        number < len(buffer)
        and seed == first + number
        and np.array_equal(actions, buffer.episode(number).previous_actions[1:])
        for number, (seed, actions) in enumerate(played)
    )


def _same(now: np.ndarray, before: np.ndarray, number: int) -> None:
    if not np.array_equal(now, before):
        raise ValueError(
            f"episode {number} does not repeat: it was collected with other versions, or on another kind of machine."
        )
