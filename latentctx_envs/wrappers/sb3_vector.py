"""to_sb3: a Gymnasium vector environment as a Stable-Baselines3 VecEnv, which SB3 does not make itself."""

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from latentctx_envs.extras import require
from latentctx_envs.vector_env import LatentContextVectorEnv
from latentctx_envs.wrappers.infos import split_infos

require("stable_baselines3", "agents")

from stable_baselines3.common.vec_env import VecEnv  # noqa: E402

FINAL = ("final_obs", "_final_obs", "final_info", "_final_info")  # of the episode that ended in a step
Indices = int | Iterable[int] | None


def to_sb3(env: gym.vector.VectorEnv[Any, Any, Any]) -> VecEnv:
    """A VecEnv that behaves as SB3's DummyVecEnv over the same single environments.

    Final observations come as `terminal_observation`, truncation as `TimeLimit.truncated`, infos as one dict for each
    environment, those of resets as `reset_infos`. An environment's own methods cannot be called through a vector
    environment that steps all at once: this is refused in words.

    Args:
        env: any vector environment that resets itself within the step, e.g.
            `gym.make_vec("LatentCtx-PointMass-v0", num_envs=16, autoreset_mode="SameStep")`.

    Raises:
        ValueError: it is no vector environment, or its autoreset mode is another one.
    """
    return SB3VectorEnv(env)


class SB3VectorEnv(VecEnv):
    """What `to_sb3` returns."""

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any]) -> None:
        if not isinstance(env, gym.vector.VectorEnv):
            raise ValueError(f"to_sb3 takes a Gymnasium vector environment; got {type(env).__name__}.")
        mode = env.metadata.get("autoreset_mode")
        if mode not in (AutoresetMode.SAME_STEP, AutoresetMode.SAME_STEP.value):
            native = isinstance(env.unwrapped, LatentContextVectorEnv)
            named = "autoreset_mode='SameStep'"
            how = (
                named
                if native
                else "vector_kwargs={'autoreset_mode': gymnasium.vector.AutoresetMode.SAME_STEP}"
            )
            raise ValueError(
                f"SB3 expects the first observation of the next episode in the step that ends one; this environment's "
                f"autoreset mode is {getattr(mode, 'value', mode)}. Make it with {how}."
            )
        self.env = env
        self._taken: Any = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:
        """Reset all environments, with the seeds and options set before; their first observations."""
        seeds = None if all(seed is None for seed in self._seeds) else self._seeds
        observation, infos = self.env.reset(seed=seeds, options=self._common_options())  # type: ignore[arg-type]
        self.reset_infos = split_infos(infos, self.num_envs)
        self._reset_seeds()  # both are used once
        self._reset_options()
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions for `step_wait`."""
        self._taken = actions

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Step: observations, float32 rewards (n,), bool dones (n,) and an info dict for each environment."""
        observation, rewards, terminated, truncated, batched = self.env.step(self._taken)
        dones = terminated | truncated
        infos = split_infos({key: batched[key] for key in batched if key not in FINAL}, self.num_envs)
        if dones.any():
            ended = split_infos(batched.get("final_info", {}), self.num_envs)
            for index in np.flatnonzero(dones).tolist():
                # what the environments do not say themselves is a wrapper's, and is of the episode that ended
                more = {key: value for key, value in infos[index].items() if key not in ended[index]}
                self.reset_infos[index] = {
                    key: infos[index][key] for key in infos[index] if key in ended[index]
                }
                infos[index] = {**ended[index], **more, "terminal_observation": batched["final_obs"][index]}
        for info, cut in zip(infos, (truncated & ~terminated).tolist(), strict=True):
            info["TimeLimit.truncated"] = cut
        return observation, rewards.astype(np.float32), dones, infos

    def close(self) -> None:
        """Close the vector environment."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """An attribute of each environment, or the vector environment's for all.

        Raises:
            AttributeError: neither has it.
        """
        chosen = list(self._get_indices(indices))
        inner = self.env.unwrapped
        if hasattr(inner, "get_attr"):
            values = inner.get_attr(attr_name)
            return [values[index] for index in chosen]
        return [getattr(self.env if hasattr(self.env, attr_name) else inner, attr_name)] * len(chosen)

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Set an attribute of all environments.

        Raises:
            NotImplementedError: only of some, or the vector environment cannot.
        """
        self._refuse_some(f"set_attr({attr_name!r})", "set_attr", indices)
        self.env.unwrapped.set_attr(attr_name, [value] * self.num_envs)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of all environments.

        Raises:
            NotImplementedError: only of some, or the vector environment cannot.
        """
        self._refuse_some(f"env_method({method_name!r})", "call", indices)
        return list(self.env.unwrapped.call(method_name, *method_args, **method_kwargs))

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Indices = None
    ) -> list[bool]:
        """False for each: wrappers of single environments are not seen through a vector environment."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """What each environment renders; None for each if the vector environment does not render."""
        images: Any = self.env.render() if self.render_mode is not None else None
        return list(images) if images is not None else [None] * self.num_envs

    def _common_options(self) -> dict[str, Any] | None:
        first = self._options[0]
        if any(options is not first and options != first for options in self._options):
            raise ValueError(
                "a vector environment takes one dict of options for all: set_options({'context': [c0, c1, ...]}) "
                "gives each of ours its own context."
            )
        return first or None

    def _refuse_some(self, what: str, needed: str, indices: Indices) -> None:
        inner = self.env.unwrapped
        if not hasattr(inner, needed):
            raise NotImplementedError(
                f"{what}: {type(inner).__name__} steps all environments at once and has no single ones. "
                "Use SB3's make_vec_env if you need their methods."
            )
        if sorted(self._get_indices(indices)) != list(range(self.num_envs)):
            raise NotImplementedError(f"{what}: {type(inner).__name__} does this for all environments only.")
