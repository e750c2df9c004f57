"""Success of a policy on one context, or on contexts drawn anew, measured over many starts."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from tqdm import tqdm

from latentctx_envs.context import Context
from latentctx_envs.rollout import Policy, rollout

EVALUATION_SEED = 50_000  # first environment seed; the demonstrations use others


def steps_together(env_id: str) -> bool:
    """Whether a world has a vector environment of its own, so that N episodes run side by side."""
    return gym.spec(env_id).vector_entry_point is not None


def success_of(
    policy: Policy,
    env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any],
    context: Context | Mapping[str, Any] | None,
    *,
    episodes: int | None = None,
    seed: int = EVALUATION_SEED,
    progress: bool = False,
) -> np.ndarray:
    """Whether each of N episodes succeeded at any step, bool (N,).

    Args:
        policy: acts on the observations.
        env: a vector environment of N, or one in which N episodes follow one another; episode i starts from seed + i.
        context: the hidden context of all episodes; None draws one for each, from its seed.
        episodes: N, where it is a single environment.
        seed: of the first episode.
        progress: show a bar over the steps.
    """
    plain = context.to_dict() if isinstance(context, Context) else context
    options = None if plain is None else {"context": dict(plain)}
    resets = [{"seed": seed + index, "options": options} for index in range(episodes or 1)]
    found = np.zeros((len(resets), getattr(env, "num_envs", 1)), dtype=bool)
    index = 0
    steps = rollout(env, policy, resets)
    for step in tqdm(steps, desc="evaluate", unit="step", delay=1, disable=not progress):
        found[index] |= np.asarray(step.next_info["success"]) & step.active
        if found.all():
            break
        index += int(step.last)
    steps.close()  # type: ignore[attr-defined]  # a generator
    return found.ravel()
