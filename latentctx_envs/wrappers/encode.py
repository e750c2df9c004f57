"""EncodeObservation: a Gymnasium environment seen through a frozen encoder."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from latentctx_envs.encoders import Encoder
from latentctx_envs.wrappers.features import Transform


class EncodeObservation(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Replace what is seen by the features of a frozen encoder; terminal observations are encoded as well.

    With a string (directory, zoo name, hub id) the wrapped environment's spec serialises and rebuilds; a module works
    too, but then `spec.to_json()` refuses. An encoder that filters (a world model's) begins anew with each episode and is
    told the actions as they come here: wrappers that change them go around this one.

    Args:
        env: an environment whose observation is uint8 pixels, or a Dict with "pixels" (or of a goal environment,
            whose "observation" is encoded); for a filter of vectors the vector that it takes, in a Dict by its name.
        encoder: the encoder, of which a copy is taken, or its name.
        device: torch device.

    Raises:
        ValueError: the environment does not show what the encoder takes, or not of its size, or wrappers inside change
            the actions that a filter follows.
    """

    def __init__(self, env: gym.Env[Any, Any], encoder: str | Path | Encoder, device: str = "cpu") -> None:
        name = str(encoder) if isinstance(encoder, Path) else encoder
        gym.utils.RecordConstructorArgs.__init__(self, _disable_deepcopy=True, encoder=name, device=device)
        gym.Wrapper.__init__(self, env)
        self._transform = Transform(
            encoder,
            env.observation_space,
            env.action_space,
            executed=env.unwrapped.action_space,
            count=1,
            settings=getattr(env.unwrapped, "settings", None),
            family=getattr(env.unwrapped, "family", None),
            who="EncodeObservation",
            device=device,
        )
        self.encoder = self._transform.encoder
        self.observation_space = self._transform.space
        self._ended = False

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Reset the environment and encode what it shows."""
        observation, info = self.env.reset(**kwargs)
        self._ended = False
        return _single(self._transform.reset(_batch(observation))), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment and encode what it shows."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        begins = np.array([self._ended])  # an environment inside that resets itself shows a new episode
        encoded = _single(self._transform.step(_batch(observation), np.asarray(action)[None], begins))
        self._ended = bool(terminated or truncated)
        return encoded, reward, terminated, truncated, info


def _batch(observation: Any) -> Any:
    """A batch of one; what is not encoded comes along."""
    if isinstance(observation, dict):
        return {name: np.asarray(part)[None] for name, part in observation.items()}
    return np.asarray(observation)[None]


def _single(batch: Any) -> Any:
    if isinstance(batch, dict):
        return {name: part[0] for name, part in batch.items()}
    return batch[0]
