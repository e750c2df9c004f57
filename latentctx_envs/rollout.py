"""The one interaction loop of the project, for a single and for a vector environment."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode


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
        watch: called after every reset and step, e.g. `env.unwrapped.physics_state`. Where environments reset themselves
            within a step ("SameStep"), it sees the next episode's start of those that ended.

    Raises:
        ValueError: ended environments refuse to go on until they are reset ("Disabled").
    """
    mode = getattr(env, "metadata", {}).get("autoreset_mode") if hasattr(env, "num_envs") else None
    if mode in (AutoresetMode.DISABLED, AutoresetMode.DISABLED.value):
        raise ValueError(
            "rollout needs environments that reset themselves; make them with autoreset_mode='NextStep'."
        )
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
            shown, shown_info = _of_the_episode(following, next_info)
            ended = ended | terminated | truncated
            next_seen = watch()
            yield Step(
                time=time,
                observation=observation,
                info=info,
                action=action,
                reward=reward,
                next_observation=shown,
                terminated=terminated,
                truncated=truncated,
                next_info=shown_info,
                active=active,
                last=bool(ended.all()),
                seen=seen,
                next_seen=next_seen,
            )
            observation, info, seen = following, next_info, next_seen
            time += 1


def _of_the_episode(observation: Any, info: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What a step led to; where it ended episodes and began the next ("SameStep"), of those that ended."""
    if "final_obs" not in info:
        return observation, info
    mask = np.asarray(info["_final_obs"])
    rest = {
        key: value for key, value in info.items() if key.removeprefix("_") not in ("final_obs", "final_info")
    }
    return _replaced(observation, info["final_obs"], mask), _merged(rest, info.get("final_info", {}), mask)


def _replaced(observation: Any, final: np.ndarray, mask: np.ndarray) -> Any:
    if isinstance(observation, dict):
        return {key: _replaced(part, _parts(final, mask, key), mask) for key, part in observation.items()}
    whole = np.array(observation)
    for index in np.flatnonzero(mask):
        whole[index] = final[index]
    return whole


def _parts(final: np.ndarray, mask: np.ndarray, key: str) -> np.ndarray:
    found = np.full(len(mask), None, dtype=object)
    for index in np.flatnonzero(mask).tolist():
        found[index] = final[index][key]
    return found


def _merged(info: dict[str, Any], final: Mapping[str, Any], mask: np.ndarray) -> dict[str, Any]:
    merged = dict(info)
    for key, value in final.items():
        now = info.get(key)
        if isinstance(value, Mapping):
            merged[key] = _merged(now if isinstance(now, dict) else {}, value, mask)
        elif now is None:
            merged[key] = value
        else:
            rows = mask.reshape(-1, *[1] * (np.ndim(value) - 1))
            merged[key] = np.where(rows, value, now)
    return merged
