"""Encoders that remember, and what keeps their states for N environments: numpy in, numpy out."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from latentctx_envs.encoders.base import Encoder
from latentctx_envs.encoders.threads import threads_for

Memory = tuple[Tensor, ...]  # tensors (b, ...), a row for each environment; a NamedTuple, as a rule


class StatefulEncoder(Encoder):
    """An encoder whose features follow from all that an episode has shown.

    The wrappers keep a memory for each environment, begin anew with each episode and pass on the action that led to an
    observation. Called as a module it gives the features of first observations.
    """

    @property
    @abstractmethod
    def observed(self) -> str:
        """Kind of the observations: "state", "position" or "pixels"."""

    @property
    @abstractmethod
    def followed_actions(self) -> int | None:
        """Length of the actions that it follows; None if it looks at none."""

    @abstractmethod
    def initial(self, batch: int) -> Memory:
        """The memories before anything was seen."""

    @abstractmethod
    def follow(self, state: Any, observations: Tensor, actions: Tensor) -> Memory:
        """The memories after actions (b, a) that led to observations (b, ...)."""

    @abstractmethod
    def features_of(self, state: Any) -> Tensor:
        """Features (b, D) of memories."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Features (b, D) of the first observations of b episodes."""
        actions = torch.zeros(len(pixels), self.followed_actions or 0, device=pixels.device)
        return self.features_of(self.follow(self.initial(len(pixels)), pixels, actions))


def refuse_memory(encoder: Encoder, use: str) -> None:
    """Refuse an encoder that remembers where single frames are encoded, in whatever order.

    Args:
        encoder: any.
        use: what is done with it, such as "finetuning".

    Raises:
        ValueError: it remembers.
    """
    if isinstance(encoder, StatefulEncoder):
        raise ValueError(
            f"{type(encoder).__name__} follows whole episodes, {use} takes frames one by one: wrap an environment by "
            "EncodeObservation, or choose an encoder of frames."
        )


class Streams:
    """The memory of each of N environments.

    Args:
        module: the encoder; it is frozen.
        count: N.
        action_space: of one environment; actions are clipped to it, as the environment does.
        device: torch device.

    Raises:
        ValueError: the encoder follows actions of another size.
    """

    def __init__(
        self, module: StatefulEncoder, count: int, action_space: spaces.Space[Any], *, device: str = "cpu"
    ) -> None:
        self.module = module.requires_grad_(False).eval().to(device)
        size = module.followed_actions
        self._bounds: tuple[np.ndarray, np.ndarray] | None = None
        if size is not None:
            if not isinstance(action_space, spaces.Box) or action_space.shape != (size,):
                raise ValueError(
                    f"the encoder follows actions of {size} numbers; this env takes {action_space}."
                )
            self._bounds = action_space.low, action_space.high
        self._device = device
        self._state = module.initial(count)

    @property
    def follows_actions(self) -> bool:
        """Whether it looks at actions."""
        return self._bounds is not None

    def begin(self, observations: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Features (k, D) of the first observations (k, ...) of some environments' episodes."""
        with threads_for(self._numbers(observations)), torch.inference_mode():
            fresh = self.module.initial(len(rows))
            actions = torch.zeros(len(rows), self.module.followed_actions or 0, device=self._device)
            return self._keep(self.module.follow(fresh, self._tensor(observations), actions), rows)

    def follow(self, observations: np.ndarray, actions: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Features (k, D) of the observations (k, ...) that actions (k, ...) led some environments to."""
        done = np.zeros((len(rows), 0), np.float32)
        if self._bounds is not None:
            done = np.clip(actions, *self._bounds).astype(np.float32)
        with threads_for(self._numbers(observations)), torch.inference_mode():
            before = self._made([part[rows] for part in self._state])
            after = self.module.follow(
                before, self._tensor(observations), torch.from_numpy(done).to(self._device)
            )
            return self._keep(after, rows)

    def _keep(self, state: Memory, rows: np.ndarray) -> np.ndarray:
        for kept, part in zip(self._state, state, strict=True):
            kept[rows] = part
        return self.module.features_of(state).cpu().numpy()

    def _made(self, parts: list[Tensor]) -> Memory:
        make = getattr(type(self._state), "_make", tuple)
        return make(parts)

    def _numbers(self, observations: np.ndarray) -> int:
        return observations[..., 0].size if self.module.observed == "pixels" else observations.size

    def _tensor(self, observations: np.ndarray) -> Tensor:
        dtype = np.uint8 if self.module.observed == "pixels" else np.float32
        return torch.from_numpy(np.array(observations, dtype=dtype, order="C")).to(self._device)
