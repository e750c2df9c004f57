"""Meta-World's scripted policies, told the goal that the learner's observation may hide."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from latentctx_envs.meta_world.context import GOAL, MetaWorldContext


class ScriptedPolicy:
    """Upstream's policy for the task of the episode's context, clipped to the action space.

    It reads the task and the goal from `info["context"]`; observations are "state". What a policy keeps between steps
    does not outlive an episode.
    """

    def __init__(self) -> None:
        self._context: MetaWorldContext | None = None
        self._policy: Any = None
        self._goal = np.zeros(3)

    def reset(self) -> None:
        """Forget the last episode."""
        self._context = None

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        """The action, float32 (4,), for a state observation (39,)."""
        if self._context is None:
            self._begin(MetaWorldContext.coerce(info["context"]))
        state = np.asarray(observation, dtype=np.float64).copy()
        state[GOAL:] = self._goal
        return self._policy(state)

    def _begin(self, context: MetaWorldContext) -> None:
        from latentctx_envs.meta_world.engine import shared_sawyer
        from latentctx_envs.meta_world.scripted import scripted_policy

        self._context, self._policy = context, scripted_policy(context.task)
        engine = shared_sawyer(context.task)
        engine.reset(rand_vec=np.array(context.vector))
        self._goal = engine.observed_goal
