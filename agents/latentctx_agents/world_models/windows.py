"""Windows of stored episodes as tensors, time-major: what world models and imitators are trained on."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentctx_agents.world_models.model import Observations
from latentctx_datasets import (
    RECIPES,
    DatasetError,
    SequenceSampler,
    StateStore,
    View,
    holds_frames,
    load,
    open_frames,
    open_states,
    open_store,
    recover,
)
from latentctx_envs.encoders.latent.sensors import PIXELS, Observed


class Windows(NamedTuple):
    """A batch of windows of T observations."""

    observations: Observations
    previous_actions: (
        Tensor  # float32 (T, b, a), each led to the observation in its place; zeros at an episode's first
    )
    is_first: Tensor  # bool (T, b)


def frames_of(image_size: int) -> View:
    """How the frames of world models are rendered, in stores and while acting."""
    return View(image_size=image_size, render_profile="fast")


def world_of(dataset_id: str) -> str:
    """Id of the world that a dataset was played in, of a recipe's or of one's own.

    Raises:
        DatasetError: there is no such dataset, or it does not say where it was played.
    """
    if dataset_id in RECIPES:
        return RECIPES[dataset_id].env_id
    with recover(load(dataset_id)) as env:
        spec = env.spec
    if spec is None:
        raise DatasetError(f"{dataset_id} does not name its environment.")
    return spec.id


def open_episodes(dataset_id: str, observed: Observed, image_size: int) -> StateStore:
    """The store that a learner in this setting reads: states, and frames if it sees them.

    Frames are rendered from states. A dataset that stores frames instead, such as V-D4RL's, gives those, and no states.

    Raises:
        DatasetError: the dataset is missing or damaged, holds numbers that are none, or frames of another size.
    """
    if observed == PIXELS and holds_frames(load(dataset_id)):
        stored = open_frames(dataset_id)
        if stored.view.image_size != image_size:
            raise DatasetError(
                f"{dataset_id} stores frames of {stored.view.image_size} px; {image_size} px are needed."
            )
        store: StateStore = stored
    elif observed == PIXELS:
        store = open_store(dataset_id, frames_of(image_size))
    else:
        store = open_states(dataset_id)
    for name in ("observations", "actions"):
        if not np.isfinite(getattr(store, name)).all():
            raise DatasetError(f"{dataset_id}: {name} hold nan or infinity; build the dataset again.")
    return store


def windows_of(
    store: StateStore,
    rng: np.random.Generator,
    *,
    batch_size: int,
    length: int,
    observed: Observed,
    episodes: np.ndarray | None = None,
    early: bool = False,
    device: str = "cpu",
) -> Callable[[], Windows]:
    """A function that draws the next batch of windows; `early` as in `SequenceSampler`.

    Raises:
        ValueError: an episode is shorter than a window.
    """
    sampler = SequenceSampler(
        store,
        rng=rng,
        batch_size=batch_size,
        length=length,
        episodes=episodes,
        early=early,
        pixels=observed == PIXELS,
    )

    def time_major(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device, non_blocking=True).transpose(0, 1).contiguous()

    def draw() -> Windows:
        drawn = sampler.sample()
        pixels = None if drawn.pixels is None else time_major(drawn.pixels)
        return Windows(
            Observations(time_major(drawn.observations), pixels),
            time_major(drawn.previous_actions),
            time_major(drawn.is_first),
        )

    return draw
