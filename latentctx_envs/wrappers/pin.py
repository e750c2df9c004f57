"""PinContext and its vector twin: environments whose every episode has the same hidden context."""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from latentctx_envs.context import Context


class PinContext(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Pin the hidden context through every reset, also those that a vector environment makes by itself.

    `reset(options={"context": c})` pins one episode: what a vector environment starts by itself afterwards has other
    contexts. Learners that reset without options (Stable-Baselines3's do) need
    this to learn one context; the start states are those that the seed gives without it.

    Args:
        env: a LatentCtx environment.
        context: the context or its dict, e.g. `{"goal": (0.1, 0.2)}`.

    Raises:
        ValueError: no episode of the environment has such a context, or a value is out of range.
    """

    def __init__(self, env: gym.Env[Any, Any], context: Context | Mapping[str, Any]) -> None:
        kind = getattr(env.unwrapped, "context_type", None)
        if not (isinstance(kind, type) and issubclass(kind, Context)):
            raise ValueError(
                f"PinContext needs a LatentCtx environment, a single one whose contexts can be pinned; got {env}. "
                "VectorPinContext takes vectors of them."
            )
        pinned = kind.coerce(context)
        env.unwrapped.check_context(pinned)  # type: ignore[attr-defined]  # a LatentContextEnv
        self._context = pinned.to_dict()
        gym.utils.RecordConstructorArgs.__init__(self, context=self._context)
        gym.Wrapper.__init__(self, env)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode with the pinned context; other options are passed on.

        Raises:
            ValueError: the options name a context of their own.
        """
        _refuse_another(options, "PinContext")
        return self.env.reset(seed=seed, options={**(options or {}), "context": self._context})


class VectorPinContext(gym.vector.VectorWrapper):
    """`PinContext` for a native vector environment: also the episodes that it starts by itself have the context.

    Args:
        env: a native vector environment of a LatentCtx world, as `gym.make_vec` makes it.
        context: the context or its dict, e.g. `{"goal": (0.1, 0.2)}`, or one for each environment.

    Raises:
        ValueError: it is no such environment, no episode has such a context, or there are not as many as environments.
    """

    def __init__(
        self,
        env: gym.vector.VectorEnv[Any, Any, Any],
        context: Context | Mapping[str, Any] | Sequence[Context | Mapping[str, Any]],
    ) -> None:
        pin = getattr(env.unwrapped, "pin_context", None)
        if pin is None:
            raise ValueError(
                f"VectorPinContext needs the native vector environment of a LatentCtx world; got {env}. Of other vectors pin "
                "each: gym.vector.SyncVectorEnv([lambda: PinContext(gym.make(...), context), ...])."
            )
        each = [context] if isinstance(context, (Context, Mapping)) or context is None else context
        if any(one is None for one in each):
            raise ValueError("VectorPinContext pins a context, or one for each environment; got None.")
        pin(context)
        super().__init__(env)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start episodes with the pinned context; other options are passed on.

        Raises:
            ValueError: the options name a context of their own.
        """
        _refuse_another(options, "VectorPinContext")
        return self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]


def _refuse_another(options: Mapping[str, Any] | None, who: str) -> None:
    if (options or {}).get("context") is not None:
        raise ValueError(f"{who} pins the context; reset the environment without it to give another.")
