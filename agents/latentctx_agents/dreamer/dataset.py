"""What an agent collected, as a dataset."""

from pathlib import Path

import gymnasium as gym
import minari
import numpy as np
from tqdm import tqdm

from latentctx_agents.dreamer.buffer import EpisodeBuffer, Episodes
from latentctx_agents.dreamer.config import DreamerConfig
from latentctx_agents.dreamer.train import EPISODES, first_seed
from latentctx_datasets import DemonstrationCollector
from latentctx_datasets.demonstrators.locomotion import ENV_IDS
from latentctx_datasets.recipes.locomotion import ENV_KWARGS, most


def make_dataset(config: DreamerConfig, directory: Path, dataset_id: str) -> minari.MinariDataset:
    """Play the episodes of a run again, by their seeds and actions, into a dataset with states, physics and seeds.

    A killed or interrupted call goes on with the episode that it was at.

    Args:
        config: of the training.
        directory: its run folder.
        dataset_id: of the dataset, such as "latentctx/walker/plan2explore-v0".

    Raises:
        DatasetError: the id is none, or there is such a dataset.
        ValueError: an episode does not repeat, or another run's are being recorded under this id.
    """
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


def _play(env: DemonstrationCollector, episode: Episodes, seed: int, number: int) -> None:
    seen, actions, _ = episode
    now, _ = env.reset(seed=seed)
    for before, action in zip(seen, actions[1:], strict=False):
        _same(now, before, number)
        now, *_ = env.step(action)
    _same(now, seen[-1], number)


def _refuse_other(env: DemonstrationCollector, buffer: EpisodeBuffer, first: int) -> None:
    """Refuse to go on with what was recorded, but not made into a dataset, of another run."""
    for number, (facts, arrays) in enumerate(env.kept()):
        own = number < len(buffer) and facts["seed"] == first + number
        if not own or not np.array_equal(arrays["actions"], buffer.episode(number).previous_actions[1:]):
            raise ValueError(
                f"another run's episodes are being recorded under {env.dataset_id}: choose another id."
            )


def _same(now: np.ndarray, before: np.ndarray, number: int) -> None:
    if not np.array_equal(now, before):
        raise ValueError(
            f"episode {number} does not repeat: it was collected with other versions, or on another kind of machine."
        )
