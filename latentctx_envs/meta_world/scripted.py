"""Upstream's scripted policies, and the states that they bring a task to."""

import functools
import warnings
from collections.abc import Callable

import numpy as np

from latentctx_envs.meta_world import resets
from latentctx_envs.meta_world.context import MetaWorldContext
from latentctx_envs.meta_world.engine import shared_sawyer

HORIZON = 250  # control steps within which a policy must succeed
HOLD = 10  # control steps after the first success, in which things come to rest
REMEMBERED = 4096  # success states, half a kilobyte each


def scripted_policy(task: str) -> Callable[[np.ndarray], np.ndarray]:
    """A fresh policy for one episode of a task: upstream's observation with the goal, (39,), to action, float32 (4,)."""
    from metaworld.policies import ENV_POLICY_MAP

    policy = ENV_POLICY_MAP[task]()

    def act(state: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Constant\(s\) may be too high")  # clipped here
            return np.clip(policy.get_action(state), -1.0, 1.0).astype(np.float32)

    return act


@functools.lru_cache(maxsize=REMEMBERED)
def success_state(context: MetaWorldContext) -> np.ndarray | None:
    """The physics state in which the task's policy has solved an episode of this context.

    The hand starts from its usual place; the state is that of ten steps after the first success.

    Returns:
        float64 (k,), read-only, as `MetaWorldEnv.physics_state()` gives it; None if the policy fails for 250 steps.
    """
    engine = shared_sawyer(context.task)
    if not _demonstrate(context, lambda: None):
        return None
    final = engine.physics_state(resets.LEAST)
    final.setflags(write=False)
    return final


def demonstration(context: MetaWorldContext) -> np.ndarray | None:
    """The physics states of that episode, from its first step to the one of `success_state`.

    Returns:
        float64 (t, k), one for each control step; None if the policy fails.
    """
    engine = shared_sawyer(context.task)
    states: list[np.ndarray] = []
    solved = _demonstrate(context, lambda: states.append(engine.physics_state(resets.LEAST)))
    return np.stack(states) if solved else None


def _demonstrate(context: MetaWorldContext, watch: Callable[[], None]) -> bool:
    """Play the task's policy until ten steps after the first success, and watch each step; whether it succeeded."""
    engine, act = shared_sawyer(context.task), scripted_policy(context.task)
    state, _ = engine.reset(rand_vec=np.array(context.vector))
    ends, solved = HORIZON, False
    step = 0
    while step < ends:
        state, _, _, _, info = engine.step(act(state))
        watch()
        step += 1
        if info["success"] and not solved:
            ends, solved = min(step + HOLD, HORIZON), True
    return solved
