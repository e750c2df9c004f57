"""Observations and their space, built from one description for one environment or many."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from latentctx_envs.context import Context
from latentctx_envs.settings import Settings


class Observer:
    """Builds observations and their space side by side, so that they cannot drift apart.

    One kind gives a Box, several give a Dict keyed by kind. With `context="observed"` the context vector is
    appended to a lone vector observation; otherwise it is the Dict's "context" entry.
    """

    def __init__(
        self, vector_spaces: Mapping[str, spaces.Box], context_type: type[Context], settings: Settings
    ) -> None:
        self._kinds = settings.kinds
        self._observed = settings.context == "observed"
        several = not isinstance(settings.observation, str)
        self._is_dict = several or (self._observed and "pixels" in self._kinds)
        self.space = self._make_space(vector_spaces, context_type, settings.frame_shape)

    def _make_space(
        self,
        vector_spaces: Mapping[str, spaces.Box],
        context_type: type[Context],
        frame_shape: tuple[int, int, int],
    ) -> spaces.Space[Any]:
        parts = dict(vector_spaces)
        parts["pixels"] = spaces.Box(0, 255, frame_shape, np.uint8)
        parts["context"] = context_type.space()
        if self._is_dict:
            keys = (*self._kinds, "context") if self._observed else self._kinds
            return spaces.Dict({key: parts[key] for key in keys})
        only = parts[self._kinds[0]]
        return _joined(only, parts["context"]) if self._observed else only

    def observe(
        self,
        vectors: Callable[[str], np.ndarray],
        contexts: np.ndarray,
        frames: Callable[[], np.ndarray],
    ) -> np.ndarray | dict[str, np.ndarray]:
        """Observations of n environments, batched along the first axis.

        Args:
            vectors: kind -> the n vectors of "state" or "position", float32 (n, d).
            contexts: context vectors, (n, c).
            frames: renders the n frames, (n, h, w, 3) uint8; called only if pixels are observed.
        """
        parts = {kind: frames() if kind == "pixels" else vectors(kind) for kind in self._kinds}
        if self._is_dict:
            return {**parts, "context": contexts.copy()} if self._observed else parts
        only = parts[self._kinds[0]]
        return np.concatenate([only, contexts], axis=1) if self._observed else only


def _joined(first: spaces.Box, second: spaces.Box) -> spaces.Box:
    low, high = np.concatenate([first.low, second.low]), np.concatenate([first.high, second.high])
    return spaces.Box(low, high, dtype=np.float32)
