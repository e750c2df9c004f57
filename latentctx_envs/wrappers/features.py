"""Spaces and values of encoded observations, side by side for all wrappers."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from latentctx_envs.encoders import Encoder, FrozenEncoder
from latentctx_envs.encoders.latent.sensors import PIXELS
from latentctx_envs.encoders.stateful import StatefulEncoder, Streams

FEATURES = "features"
GOAL_OBSERVATION = "observation"  # of a goal environment; its goals stay what they are, and so do its rewards


class Transform:
    """What a wrapper does to the observations of N environments: encode each, or follow each with a filter.

    Args:
        encoder: an Encoder, a directory, a zoo name or a hub id.
        space: of one environment's observations.
        action_space: of one environment's actions, which a filter follows.
        executed: the same inside of all wrappers, where it is known.
        count: N.
        settings: of the environments, where they have some: frames of another profile than the encoder's, or steps of
            another length than those it followed, give a warning.
        family: of the environments, where they have one: another than the encoder's gives a warning.
        who: the wrapper's name, for its refusals.
        device: torch device.

    Raises:
        ValueError: no such encoder, one that does not take these observations or actions, features are there already, or
            wrappers inside change the actions that an encoder follows.
    """

    def __init__(
        self,
        encoder: str | Path | Encoder,
        space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *,
        executed: spaces.Space[Any] | None = None,
        count: int,
        settings: Any = None,
        family: str | None = None,
        who: str,
        device: str = "cpu",
    ) -> None:
        self.encoder = FrozenEncoder(encoder, device=device)
        module = self.encoder.module
        self._kind = module.observed if isinstance(module, StatefulEncoder) else PIXELS
        _warn_of_another_world(module, settings, family, who, frames=self._kind == PIXELS)
        self.space = self._encoded_space(space, who)
        self._streams: Streams | None = None
        if isinstance(module, StatefulEncoder):
            self._streams = Streams(module, count, action_space, device=device)
            if self._streams.follows_actions and executed not in (None, action_space):
                raise ValueError(
                    f"{who}: the encoder follows the actions that are executed; put wrappers that change them around this one, "
                    "not inside."
                )
        self._last = np.zeros((count, module.features_dim), np.float32)

    def _encoded_space(self, space: spaces.Space[Any], who: str) -> spaces.Space[Any]:
        """Box -> Box; in a Dict what is encoded becomes "features", or stays "observation" beside its goals."""
        if isinstance(space, spaces.Dict) and self._key(space.spaces) in space.spaces:
            seen = self._key(space.spaces)
            self.encoder.check_space(space[seen], who)
            if seen != GOAL_OBSERVATION and FEATURES in space.spaces:
                raise ValueError(
                    f"{who}: the observation has {FEATURES!r} already, which these would replace: rename them inside."
                )
            return spaces.Dict(self._replaced(space.spaces, self.encoder.space))
        self.encoder.check_space(space, who)
        return self.encoder.space

    def reset(self, observation: Any, rows: np.ndarray | None = None) -> Any:
        """The encoded form of a batch of N observations, of which those in `rows` (all) begin an episode."""
        fresh = np.ones(len(self._last), bool)
        if rows is not None:
            fresh[:] = False
            fresh[rows] = True
        return self._encode(observation, fresh, np.zeros_like(fresh), None)

    def step(self, observation: Any, actions: np.ndarray, fresh: np.ndarray | None = None) -> Any:
        """The encoded form of a batch of N observations after a step.

        Args:
            observation: what the environments show.
            actions: that led there, (N, a).
            fresh: bool (N,), whose observation begins an episode instead; none by default.
        """
        begins = np.zeros(len(self._last), bool) if fresh is None else np.asarray(fresh, bool)
        return self._encode(observation, begins, ~begins, actions)

    def ends(self, observations: Sequence[Any], actions: np.ndarray, rows: Sequence[int]) -> list[Any]:
        """The encoded forms of the last observations of some environments' episodes, in one forward pass."""
        if not observations:
            return []
        seen = np.stack([self._seen(one) for one in observations])
        if self._streams is None:
            features = self.encoder.encode(seen)
        else:
            features = self._streams.follow(seen, np.asarray(actions)[list(rows)], np.asarray(rows))
        return [
            self._replaced(one, row) if isinstance(one, dict) else row
            for one, row in zip(observations, features, strict=True)
        ]

    def _encode(
        self, observation: Any, fresh: np.ndarray, moved: np.ndarray, actions: np.ndarray | None
    ) -> Any:
        seen = self._seen(observation)
        if self._streams is None:
            features = self.encoder.encode(seen)
        else:
            features = self._last.copy()
            begun, on = np.flatnonzero(fresh), np.flatnonzero(moved)
            if len(begun):
                features[begun] = self._streams.begin(seen[begun], begun)
            if len(on) and actions is not None:
                features[on] = self._streams.follow(seen[on], np.asarray(actions)[on], on)
            self._last = features.copy()
        return self._replaced(observation, features) if isinstance(observation, dict) else features

    def _seen(self, observation: Any) -> Any:
        return observation[self._key(observation)] if isinstance(observation, dict) else observation

    def _key(self, parts: Mapping[str, Any]) -> str:
        return self._kind if self._kind in parts else GOAL_OBSERVATION

    def _replaced(self, parts: Mapping[str, Any], features: Any) -> dict[str, Any]:
        """The parts with what is encoded replaced by its features."""
        seen = self._key(parts)
        name = GOAL_OBSERVATION if seen == GOAL_OBSERVATION else FEATURES
        return {
            (name if key == seen else key): features if key == seen else part for key, part in parts.items()
        }


def _warn_of_another_world(
    encoder: Encoder, settings: Any, family: str | None, who: str, *, frames: bool
) -> None:
    """What looks or moves otherwise is taken, but its features are not those of the pretraining."""
    if None not in (encoder.family, family) and encoder.family != family:
        warnings.warn(
            f"{who}: the encoder was trained on worlds of {encoder.family}, this environment is one of {family}: nothing says "
            "what its features of that are worth.",
            stacklevel=4,
        )
    compared = {"render_profile": encoder.render_profile} if frames else {}
    if isinstance(encoder, StatefulEncoder):
        compared["action_repeat"] = encoder.training_record.get("action_repeat")
    for name, trained in compared.items():
        has = getattr(settings, name, None)
        if None not in (trained, has) and trained != has:
            warnings.warn(
                f"{who}: the encoder was trained with {name}={trained!r}, this environment has {has!r}, and its features will "
                f"differ. Make it with {name}={trained!r}.",
                stacklevel=4,
            )
