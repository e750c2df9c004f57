"""Windows of stored episodes as tensors, time-major: what world models and imitators are trained on."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentctx_agents.world_models.model import Observations
from latentctx_datasets import (
    DatasetError,
    SequenceSampler,
    StateStore,
    View,
    holds_frames,
    library,
    load,
    open_frames,
    open_states,
    open_store,
)
from latentctx_datasets.actions import refuse_action_space, refuse_actions
from latentctx_envs.encoders.latent.sensors import COLUMNS, PIXELS, Observed, Sensors
from latentctx_envs.registration import family_of


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


def open_episodes(dataset_id: str, observed: Observed, image_size: int) -> StateStore:
    """The store that a learner in this setting reads: states, and frames if it sees them.

    Frames are rendered from states. A dataset that stores frames instead, such as V-D4RL's, gives those, and no states.

    Raises:
        DatasetError: the dataset is missing or damaged, holds numbers that are none, actions beyond [-1, 1] or frames of
            another size.
    """
    dataset = load(dataset_id)
    refuse_action_space(dataset)
    store: StateStore
    if observed == PIXELS and holds_frames(dataset):
        store = open_frames(dataset_id, image_size)
    elif observed == PIXELS:
        store = open_store(dataset_id, frames_of(image_size))
    else:
        store = open_states(dataset_id)
    if not np.isfinite(store.observations).all():
        raise DatasetError(f"{dataset_id}: observations hold nan or infinity; build the dataset again.")
    refuse_actions(store)
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


def sensors_of(dataset_id: str, observed: Observed) -> Sensors:
    """What a dataset's body shows in a setting, whosever world it was recorded in.

    Raises:
        DatasetError: the dataset is missing or damaged.
        ValueError: it is not known what the setting shows of this body.
    """
    env_id = library.body_of(dataset_id).env_id
    if family_of(env_id) in COLUMNS:
        return Sensors.of_world(env_id, observed)
    shape = load(dataset_id).observation_space.shape
    return Sensors.of_world(env_id, observed, shape[0] if shape is not None and len(shape) == 1 else 0)
