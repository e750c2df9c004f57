"""VectorEncodeObservation: N environments encoded in one forward pass."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from latentctx_envs.encoders import Encoder
from latentctx_envs.wrappers.features import Transform


class VectorEncodeObservation(gym.vector.VectorWrapper):
    """The vector twin of `EncodeObservation`, for every autoreset mode; `infos["final_obs"]` is encoded too.

    Args:
        env: a vector environment whose observations the encoder takes, as for `EncodeObservation`.
        encoder: the encoder, a directory, a zoo name or a hub id.
        device: torch device.

    Raises:
        ValueError: the environments do not show what the encoder takes, or not of its size, or wrappers inside change
            the actions that a filter follows.
    """

    def __init__(
        self,
        env: gym.vector.VectorEnv[Any, Any, Any],
        encoder: str | Path | Encoder,
        device: str = "cpu",
    ) -> None:
        super().__init__(env)
        inside: Any = env.unwrapped
        one = inside.envs[0].unwrapped if isinstance(inside, gym.vector.SyncVectorEnv) else inside
        self._transform = Transform(
            encoder,
            env.single_observation_space,
            env.single_action_space,
            executed=env.unwrapped.single_action_space,
            count=env.num_envs,
            settings=getattr(one, "settings", None),
            family=getattr(one, "family", None),
            who="VectorEncodeObservation",
            device=device,
        )
        self.encoder = self._transform.encoder
        self.single_observation_space = self._transform.space
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        self._ended = np.zeros(env.num_envs, bool)  # whose next observation begins an episode

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:  # type: ignore[override]
        """Reset the environments (those of `options["reset_mask"]`, if there is one) and encode what they show."""
        observation, info = self.env.reset(**kwargs)
        mask = (kwargs.get("options") or {}).get("reset_mask")
        rows = None if mask is None else np.flatnonzero(mask)
        self._ended[slice(None) if rows is None else rows] = False
        return self._transform.reset(observation, rows), info

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step the environments and encode what they show, final observations included."""
        observation, reward, terminated, truncated, info = self.env.step(actions)
        ended = np.asarray(terminated) | np.asarray(truncated)
        mode = self.env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        fresh = {AutoresetMode.NEXT_STEP: self._ended, AutoresetMode.SAME_STEP: ended}.get(mode)
        if "final_obs" in info:
            info["final_obs"] = self._encode_final(info["final_obs"], actions)
        encoded = self._transform.step(observation, actions, fresh)
        self._ended = ended
        return encoded, reward, terminated, truncated, info

    def _encode_final(self, final: np.ndarray, actions: Any) -> np.ndarray:
        rows = [index for index, observation in enumerate(final) if observation is not None]
        encoded = np.full(len(final), None, dtype=object)
        for index, features in zip(
            rows, self._transform.ends([final[index] for index in rows], actions, rows), strict=True
        ):
            encoded[index] = features
        return encoded
