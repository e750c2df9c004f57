"""Spaces and values of encoded observations, side by side for all wrappers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from latentctx_envs.encoders import FrozenEncoder

PIXELS, FEATURES = "pixels", "features"


def encoded_space(space: spaces.Space[Any], encoder: FrozenEncoder, who: str) -> spaces.Space[Any]:
    """The observation space after encoding: Box -> Box; in a Dict "pixels" becomes "features".

    Raises:
        ValueError: the space holds no pixels that the encoder takes.
    """
    if isinstance(space, spaces.Dict) and PIXELS in space.spaces:
        encoder.check_space(space[PIXELS], who)
        return spaces.Dict(
            {
                (FEATURES if key == PIXELS else key): encoder.space if key == PIXELS else part
                for key, part in space.spaces.items()
            }
        )
    encoder.check_space(space, who)
    return encoder.space


def encode_batch(observation: Any, encoder: FrozenEncoder) -> Any:
    """The encoded form of a batch of observations (an array, or a dict with "pixels")."""
    if isinstance(observation, dict):
        return {
            (FEATURES if key == PIXELS else key): encoder.encode(value) if key == PIXELS else value
            for key, value in observation.items()
        }
    return encoder.encode(observation)


def encode_many(observations: Sequence[Any], encoder: FrozenEncoder) -> list[Any]:
    """The encoded forms of separate observations, in one forward pass."""
    if not observations:
        return []
    if not isinstance(observations[0], dict):
        return list(encoder.encode(np.stack(observations)))
    features = encoder.encode(np.stack([observation[PIXELS] for observation in observations]))
    return [
        {(FEATURES if key == PIXELS else key): row if key == PIXELS else value for key, value in one.items()}
        for one, row in zip(observations, features, strict=True)
    ]


def encode_one(observation: Any, encoder: FrozenEncoder) -> Any:
    """The encoded form of a single observation."""
    if isinstance(observation, dict):
        return {
            (FEATURES if key == PIXELS else key): encoder.encode(value[None])[0] if key == PIXELS else value
            for key, value in observation.items()
        }
    return encoder.encode(np.asarray(observation)[None])[0]
