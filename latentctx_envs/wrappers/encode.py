"""EncodeObservation: a Gymnasium environment seen through a frozen encoder."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from latentctx_envs.encoders import Encoder, FrozenEncoder
from latentctx_envs.wrappers.features import encode_one, encoded_space


class EncodeObservation(gym.ObservationWrapper[Any, np.ndarray, Any], gym.utils.RecordConstructorArgs):
    """Replace pixels by the features of a frozen encoder; terminal observations are encoded as well.

    With a string (directory, zoo name, hub id) the wrapped environment's spec serialises and rebuilds; a module works
    too, but then `spec.to_json()` refuses.

    Args:
        env: an environment whose observation is uint8 pixels, or a Dict with "pixels" (or of a goal environment,
            whose "observation" is encoded).
        encoder: the encoder or its name.
        device: torch device.

    Raises:
        ValueError: the environment shows no pixels, or of a size the encoder does not take.
    """

    def __init__(
        self, env: gym.Env[Any, np.ndarray], encoder: str | Path | Encoder, device: str = "cpu"
    ) -> None:
        name = str(encoder) if isinstance(encoder, Path) else encoder
        gym.utils.RecordConstructorArgs.__init__(self, _disable_deepcopy=True, encoder=name, device=device)
        gym.ObservationWrapper.__init__(self, env)
        self.encoder = FrozenEncoder(encoder, device=device)
        self.observation_space = encoded_space(env.observation_space, self.encoder, "EncodeObservation")

    def observation(self, observation: Any) -> Any:
        """The features of one observation."""
        return encode_one(observation, self.encoder)
