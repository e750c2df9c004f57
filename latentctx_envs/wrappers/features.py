"""Spaces and values of encoded observations, side by side for all wrappers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from latentctx_envs.encoders import FrozenEncoder

PIXELS, FEATURES = "pixels", "features"
GOAL_OBSERVATION = "observation"  # of a goal environment; its goals stay what they are, and so do its rewards


def encoded_space(space: spaces.Space[Any], encoder: FrozenEncoder, who: str) -> spaces.Space[Any]:
    """The observation space after encoding: Box -> Box; in a Dict "pixels" becomes "features".

    Of a goal environment "observation" is encoded, under the same name.

    Raises:
        ValueError: the space holds no pixels that the encoder takes.
    """
    if isinstance(space, spaces.Dict) and _pixel_key(space.spaces) in space.spaces:
        seen = _pixel_key(space.spaces)
        encoder.check_space(space[seen], who)
        return spaces.Dict(_replaced(space.spaces, seen, encoder.space))
    encoder.check_space(space, who)
    return encoder.space


def encode_batch(observation: Any, encoder: FrozenEncoder) -> Any:
    """The encoded form of a batch of observations (an array, or a dict with "pixels")."""
    if isinstance(observation, dict):
        seen = _pixel_key(observation)
        return _replaced(observation, seen, encoder.encode(observation[seen]))
    return encoder.encode(observation)


def encode_many(observations: Sequence[Any], encoder: FrozenEncoder) -> list[Any]:
    """The encoded forms of separate observations, in one forward pass."""
    if not observations:
        return []
    if not isinstance(observations[0], dict):
        return list(encoder.encode(np.stack(observations)))
    seen = _pixel_key(observations[0])
    features = encoder.encode(np.stack([observation[seen] for observation in observations]))
    return [_replaced(one, seen, row) for one, row in zip(observations, features, strict=True)]


def encode_one(observation: Any, encoder: FrozenEncoder) -> Any:
    """The encoded form of a single observation."""
    if isinstance(observation, dict):
        seen = _pixel_key(observation)
        return _replaced(observation, seen, encoder.encode(observation[seen][None])[0])
    return encoder.encode(np.asarray(observation)[None])[0]


def _pixel_key(parts: Mapping[str, Any]) -> str:
    return PIXELS if PIXELS in parts else GOAL_OBSERVATION


def _replaced(parts: Mapping[str, Any], seen: str, features: Any) -> dict[str, Any]:
    """The parts with pixels replaced by features."""
    return {
        (FEATURES if key == PIXELS else key): features if key == seen else part for key, part in parts.items()
    }
