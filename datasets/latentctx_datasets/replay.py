"""Pixels derived from stored physics states: any size, camera and profile, on demand."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
import minari
import numpy as np

from latentctx_datasets import library
from latentctx_datasets.library import DatasetError
from latentctx_envs.env import LatentContextEnv
from latentctx_envs.rendering import RenderProfile


@dataclass(frozen=True, kw_only=True)
class View:
    """From where and how frames are rendered; the fields are keyword arguments of the environment."""

    image_size: int = 84  # [pixels] side of the square frame
    camera: str | int = 0  # name or index
    render_profile: RenderProfile = "fast"  # "reference", "fast" or "turbo"
    goal_visible: bool = False  # draw the context: the observable-context control


def latent_env(env: gym.Env[Any, Any]) -> LatentContextEnv:
    """The LatentContextEnv inside the wrappers.

    Raises:
        DatasetError: it is another kind of environment.
    """
    base = env.unwrapped
    if not isinstance(base, LatentContextEnv):
        raise DatasetError(f"{base} is no LatentContextEnv.")
    return base


def replay(dataset: minari.MinariDataset, view: View, episodes: Iterable[int]) -> Iterator[np.ndarray]:
    """Yield the frames of each episode, uint8 (T + 1, h, w, 3), the last observation included.

    Args:
        dataset: a dataset of this project.
        view: size, camera and profile.
        episodes: indices of the episodes.

    Raises:
        DatasetError: the dataset stores no physics states or names a foreign environment.
    """
    env = latent_env(library.recover(dataset, observation="pixels", **asdict(view)))
    indices = list(episodes)
    extras = dataset.storage.get_episode_metadata(indices)
    for index, extra in zip(indices, extras, strict=True):
        infos = dataset[index].infos
        if infos is None or "physics_state" not in infos or "context_json" not in extra:
            raise DatasetError(f"{dataset.id} stores no physics states: pixels cannot be derived from it.")
        context = json.loads(extra["context_json"])
        yield np.stack([env.frame(state, context) for state in infos["physics_state"]])
    env.close()
