"""The one interaction loop of the project, for a single and for a vector environment."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np


class Policy(Protocol):
    """Observation -> action; `info` is the environment's (a demonstrator reads the context from it)."""

    def reset(self) -> None:
        """Forget what belongs to the last episode."""
        ...

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        """The action(s) for one observation or a batch of them."""
        ...


class Step(NamedTuple):
    """One step, `observation, action -> next_observation`; with N environments each value has N entries."""

    time: int  # index of the step within its episode, from 0
    observation: Any
    info: dict[str, Any]  # that came with `observation`
    action: np.ndarray
    reward: Any
    next_observation: Any
    terminated: Any
    truncated: Any
    next_info: dict[str, Any]  # that came with `next_observation`
    active: Any  # bool: the step belongs to the episode (a vector's early finishers idle until all are done)
    last: bool  # no step of this reset follows
    seen: Any  # what `watch` returned before this step
    next_seen: Any  # what it returned after


def rollout(
    env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any],
    policy: Policy,
    resets: Iterable[Mapping[str, Any]] = ({},),
    watch: Callable[[], Any] = lambda: None,
) -> Iterator[Step]:
    """Yield the steps of one episode (N episodes for a vector environment) for each reset.

    Args:
        env: a single or a vector environment.
        policy: reset before each episode, then asked for every action.
        resets: keyword arguments of `env.reset`, one mapping an episode: `{"seed": 0, "options": {...}}`.
        watch: called after every reset and step, e.g. `env.unwrapped.physics_state`.
    """
    for reset in resets:
        observation, info = env.reset(**reset)
        policy.reset()
        seen = watch()
        ended = np.zeros(getattr(env, "num_envs", ()), dtype=bool)
        time = 0
        while not ended.all():
            active = ~ended
            action = policy(observation, info)
            following, reward, terminated, truncated, next_info = env.step(action)
            ended = ended | terminated | truncated
            next_seen = watch()
            yield Step(
                time=time,
                observation=observation,
                info=info,
                action=action,
                reward=reward,
                next_observation=following,
                terminated=terminated,
                truncated=truncated,
                next_info=next_info,
                active=active,
                last=bool(ended.all()),
                seen=seen,
                next_seen=next_seen,
            )
            observation, info, seen = following, next_info, next_seen
            time += 1
