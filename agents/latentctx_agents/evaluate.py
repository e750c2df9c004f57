"""Success of a policy on one context, measured over many starts at once."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from tqdm import tqdm

from latentctx_envs.context import Context
from latentctx_envs.rollout import Policy, rollout

EVALUATION_SEED = 50_000  # first environment seed; the demonstrations use others


def success_of(
    policy: Policy,
    env: gym.vector.VectorEnv[Any, Any, Any],
    context: Context | Mapping[str, Any],
    *,
    seed: int = EVALUATION_SEED,
    progress: bool = False,
) -> np.ndarray:
    """Whether each of N episodes succeeded at any step, bool (N,).

    Args:
        policy: acts on the batch of observations.
        env: a vector environment of N; episode i starts from seed + i.
        context: the hidden context of all episodes.
        seed: of the first episode.
        progress: show a bar over the steps.
    """
    plain = context.to_dict() if isinstance(context, Context) else dict(context)
    success = np.zeros(env.num_envs, dtype=bool)
    steps = rollout(env, policy, [{"seed": seed, "options": {"context": plain}}])
    for step in tqdm(steps, desc="evaluate", unit="step", delay=1, disable=not progress):
        success |= np.asarray(step.next_info["success"]) & step.active
        if success.all():
            break
    steps.close()  # type: ignore[attr-defined]  # a generator
    return success
