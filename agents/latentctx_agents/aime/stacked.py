"""Networks on a few stacked observations: what AIME's baselines have instead of a latent state."""

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from latentctx_datasets import PixelStore, StateStore
from latentctx_envs.encoders.latent.images import ImageEncoder64
from latentctx_envs.encoders.latent.sensors import PIXELS, Observed, Sensors


def stack_of(observed: Observed) -> int:
    """How many observations the baselines see: one where velocities are among them, else five."""
    return 1 if observed == "state" else 5


class Stacked(nn.Module):
    """A vector of stacked observations and perhaps an action; two hidden layers of 128, ELU.

    Args:
        sensors: what is observed.
        frames: number of observations.
        extra: numbers beside them, of an action.
        outputs: length of the output.
        squash: end in a tanh.
    """

    def __init__(
        self, sensors: Sensors, frames: int, outputs: int, *, extra: int = 0, squash: bool = True
    ) -> None:
        super().__init__()
        pixels = sensors.observed == PIXELS
        self.encoder: nn.Module = ImageEncoder64() if pixels else nn.Identity()
        width = ImageEncoder64.embedding if pixels else sensors.width
        layers: list[nn.Module] = [nn.Linear(frames * width + extra, 128), nn.ELU()]
        layers += [nn.Linear(128, 128), nn.ELU(), nn.Linear(128, outputs)]
        self.head = nn.Sequential(*layers, *([nn.Tanh()] if squash else []))

    def forward(self, observations: Tensor, extra: Tensor | None = None) -> Tensor:
        """Outputs (n, o) of observations (n, frames, ...)."""
        seen = self.encoder(observations.flatten(0, 1)).unflatten(0, observations.shape[:2]).flatten(1)
        return self.head(seen if extra is None else torch.cat([seen, extra], dim=-1))


class Transitions(NamedTuple):
    """All transitions of some episodes: rows of a store, not copies of it."""

    before: np.ndarray  # int (n, stack), the last so many observations, the first of an episode repeated
    after: np.ndarray  # int (n,), the next observation
    episodes: np.ndarray  # int (n,)


def transitions_of(store: StateStore, stack: int, episodes: int | None = None) -> Transitions:
    """The transitions of a store's first episodes, all by default."""
    count = len(store) if episodes is None else episodes
    before, after, owners = [], [], []
    for index in range(count):
        start, length = int(store.starts[index]), int(store.lengths[index])
        times = np.arange(length)
        lags = times[:, None] - np.arange(stack - 1, -1, -1)
        before.append(start + np.maximum(lags, 0))
        after.append(start + times + 1)
        owners.append(np.full(length, index))
    return Transitions(np.concatenate(before), np.concatenate(after), np.concatenate(owners))


class Seen:
    """What a setting shows of a store's rows, as tensors.

    Args:
        store: states, and frames if they are observed.
        sensors: what is observed.
    """

    def __init__(self, store: StateStore, sensors: Sensors) -> None:
        if sensors.observed == PIXELS:
            assert isinstance(store, PixelStore)
            self._rows = np.asarray(store.frames)
        else:
            self._rows = np.ascontiguousarray(np.asarray(store.observations)[:, : sensors.width])
        self._actions = np.asarray(store.actions)

    def observations(self, rows: np.ndarray) -> Tensor:
        """Observations of rows of any shape."""
        return torch.from_numpy(self._rows[rows])

    def actions(self, rows: np.ndarray) -> Tensor:
        """Actions that were taken there."""
        return torch.from_numpy(self._actions[rows])


class StackPolicy:
    """A network on the last observations, for one environment or a batch that begins together.

    Args:
        network: observations (n, stack, ...) -> actions.
        stack: how many it sees; an episode's first is repeated.
        sensors: what is observed.
    """

    def __init__(self, network: nn.Module, stack: int, sensors: Sensors) -> None:
        self._network, self._stack = network.eval(), stack
        self._single = 3 if sensors.observed == PIXELS else 1
        self.reset()

    def reset(self) -> None:
        """Forget the episode."""
        self._seen: deque[np.ndarray] = deque(maxlen=self._stack)

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        """Actions, float32 (n, a) or (a,)."""
        single = np.ndim(observation) == self._single
        batch = np.array(observation)[None] if single else np.array(observation)
        self._seen.extend([batch] * (self._stack if not self._seen else 1))
        with torch.inference_mode():
            actions = self._network(torch.from_numpy(np.stack(self._seen, axis=1))).numpy()
        return actions[0] if single else actions
