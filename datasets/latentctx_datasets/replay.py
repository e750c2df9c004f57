"""Pixels derived from stored physics states: any size, camera and profile, on demand."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
import minari
import numpy as np

from latentctx_datasets import library
from latentctx_datasets.library import DatasetError
from latentctx_envs.env import LatentContextEnv
from latentctx_envs.rendering import RenderProfile, check_profile
from latentctx_envs.settings import check_flag, is_whole


@dataclass(frozen=True, kw_only=True)
class View:
    """From where and how frames are rendered.

    Raises:
        ValueError: a value is out of range.
    """

    image_size: int = 84  # [pixels] side of the square frame (AIME: 64)
    camera: str | int | None = None  # name or index; None for the world's own
    render_profile: RenderProfile = "fast"  # "reference", "fast" or "turbo"
    goal_visible: bool = False  # draw the context: the observable-context control; not of locomotion

    def __post_init__(self) -> None:
        """Refuse impossible values in words."""
        if not is_whole(self.image_size) or self.image_size < 1:
            raise ValueError(
                f"image_size of a view is the side of a square, from 1; got {self.image_size!r}."
            )
        check_profile(self.render_profile)
        check_flag("goal_visible", self.goal_visible)

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of an environment that shows this view."""
        given = asdict(self)
        if not self.goal_visible:
            del given["goal_visible"]  # worlds without a goal do not know it
        if self.camera is None:
            del given["camera"]
        return given


def latent_env(env: gym.Env[Any, Any]) -> LatentContextEnv:
    """The LatentContextEnv inside the wrappers.

    Raises:
        DatasetError: it is another kind of environment.
    """
    base = env.unwrapped
    if not isinstance(base, LatentContextEnv):
        raise DatasetError(f"{base} is no LatentContextEnv.")
    return base


@contextmanager
def world_of(dataset: minari.MinariDataset) -> Iterator[LatentContextEnv]:
    """The world of a dataset, to be asked; closed after the block.

    Raises:
        DatasetError: it names none, or one from elsewhere.
    """
    with library.recover(dataset) as env:
        yield latent_env(env)


def view_env(dataset: minari.MinariDataset, view: View) -> gym.Env[Any, Any]:
    """The dataset's environment with frames of this view as observations.

    Raises:
        DatasetError: the view shows a context that the world cannot draw, or the environment is foreign.
    """
    if view.goal_visible:
        with world_of(dataset) as world:
            if not world.shows_context:
                raise DatasetError(
                    f"goal_visible=True: the world of {library.id_of(dataset)} has nothing that shows its context."
                )
    return library.recover(dataset, observation="pixels", **view.arguments())


def replay(
    dataset: minari.MinariDataset, view: View, episodes: Iterable[int], *, every: int = 1
) -> Iterator[np.ndarray]:
    """Yield the frames of each episode, uint8 (T + 1, h, w, 3), the last observation included.

    Args:
        dataset: a dataset of this project.
        view: size, camera and profile.
        episodes: indices of the episodes.
        every: render observations 0, every, 2 every, ... only.

    Raises:
        DatasetError: the dataset stores no physics states or names a foreign environment.
    """
    env = latent_env(view_env(dataset, view))
    indices = list(episodes)
    extras = dataset.storage.get_episode_metadata(indices)
    for index, extra in zip(indices, extras, strict=True):
        infos = dataset[index].infos
        if infos is None or "physics_state" not in infos:
            raise DatasetError(
                f"{library.id_of(dataset)} stores no physics states: pixels cannot be derived from it. Record with DemonstrationCollector."
            )
        if "context_json" not in extra:
            raise DatasetError(
                f"{library.id_of(dataset)} names no contexts, which decide where things stand (Minari's combine drops them, `latentctx data "
                "combine` does not): pixels cannot be derived from it."
            )
        context = json.loads(extra["context_json"])
        yield np.stack([env.frame(state, context) for state in infos["physics_state"][::every]])
    env.close()
