"""Actions that learners take: vectors in [-1, 1], as all worlds of this project have them, told before anything is trained."""

import minari
import numpy as np
from gymnasium import spaces

from latentctx_datasets import library
from latentctx_datasets.library import DatasetError
from latentctx_datasets.store import StateStore


def refuse_action_space(dataset: minari.MinariDataset) -> None:
    """Refuse a dataset whose actions may go beyond, before its frames are rendered.

    Raises:
        DatasetError: they may.
    """
    space = dataset.action_space
    vectors = isinstance(space, spaces.Box) and len(space.shape) == 1
    if not vectors or space.low.min() < -1.0 or space.high.max() > 1.0:
        raise DatasetError(
            f"{library.id_of(dataset)}: actions must be vectors in [-1, 1]; got {space}. Record it with "
            "gymnasium.wrappers.RescaleAction around its environment."
        )


def refuse_actions(store: StateStore) -> None:
    """Refuse actions beyond the space that their dataset names.

    Raises:
        DatasetError: there are some.
    """
    bad = ~(np.abs(store.actions) <= 1.0).all(axis=1)  # nan is not less than anything
    if bad.any():
        row = int(bad.argmax())
        episode = int(np.searchsorted(store.starts, row, side="right")) - 1
        raise DatasetError(
            f"{store.dataset_id}: actions must be finite and in [-1, 1], as its action space says; got {store.actions[row]} in "
            f"episode {episode}. Record them as they are executed: clipped."
        )
