"""LatentContextVectorEnv: N environments of one task in one process, stepped as arrays."""

import copy
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from latentctx_envs import episode
from latentctx_envs.context import Context
from latentctx_envs.env import observation_renderer
from latentctx_envs.observation import Observer
from latentctx_envs.settings import Settings
from latentctx_envs.task import Task


class LatentContextVectorEnv(gym.vector.VectorEnv[Any, np.ndarray, np.ndarray]):
    """N copies of a `LatentContextEnv`, equal to N single environments seeded `seed + i`.

    `reset(options=...)` takes "context" (one context for all, or a sequence of N) and, with
    `autoreset_mode="Disabled"`, "reset_mask" (bool array of shape (N,)).

    Args:
        task: physics, observations, reward and success.
        settings: what is observed, the contexts, how actions are executed.
        num_envs: N.
        max_episode_steps: steps after which an episode is truncated; None for never.
        autoreset_mode: Gymnasium's "NextStep" (default), "SameStep" or "Disabled".

    Raises:
        ValueError: `num_envs` below 1 or an unknown autoreset mode.
    """

    def __init__(
        self,
        task: Task,
        settings: Settings,
        *,
        num_envs: int,
        max_episode_steps: int | None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1; got {num_envs}.")
        modes = [mode.value for mode in AutoresetMode]
        if autoreset_mode not in (*modes, *AutoresetMode):
            raise ValueError(f"autoreset_mode must be one of {', '.join(modes)}; got {autoreset_mode!r}.")
        self.num_envs = num_envs
        self._mode = AutoresetMode(autoreset_mode)
        self.metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": self._mode}
        self.task = task
        self.settings = settings
        self._max_steps = max_episode_steps
        self._observer = Observer(task, settings)
        self.single_observation_space = self._observer.space
        self.single_action_space = copy.deepcopy(task.action_space)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._eye = observation_renderer(task, settings)
        self._datas = [mujoco.MjData(task.model) for _ in range(num_envs)]
        self._rngs = [np.random.default_rng() for _ in range(num_envs)]
        self._contexts: list[Context | None] = [None] * num_envs
        self._context_array = np.zeros((num_envs, *task.context_type.space().shape), np.float32)
        self._steps = np.zeros(num_envs, np.int64)
        self._ended = np.zeros(num_envs, bool)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start all episodes, or those of the mask; the class names the options."""
        checked = episode.check_options(options, ("context", "reset_mask"))
        chosen = self._reset_mask(checked.get("reset_mask"))
        seeds = self._seeds(seed)
        contexts = self._pinned(checked.get("context"))
        for index in np.flatnonzero(chosen).tolist():
            if seeds[index] is not None:
                self._rngs[index], _ = np_random(seeds[index])
            self._start(index, {"context": contexts[index]})
        rows = self._rows()
        _, successes = self.task.judge(rows, self._context_array)
        return self._observe(rows), self._info(successes, chosen)

    def step(self, actions: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step every environment once; ended ones follow the autoreset mode."""
        checked = episode.check_action(actions, self.action_space.shape)  # type: ignore[arg-type]
        if any(context is None for context in self._contexts):
            raise RuntimeError("no episode is running: call reset() first.")
        if self._mode is AutoresetMode.DISABLED and self._ended.any():
            ended = np.flatnonzero(self._ended).tolist()
            raise RuntimeError(
                f"environments {ended} have ended: reset them first with options={{'reset_mask': ...}}."
            )
        fresh = self._ended.copy() if self._mode is AutoresetMode.NEXT_STEP else np.zeros_like(self._ended)
        rows, rewards, successes = self._advance(checked, fresh)
        terminated = successes & ~fresh & self.settings.terminate_on_success
        truncated = np.zeros_like(terminated)
        if self._max_steps is not None:
            truncated = ~fresh & (self._steps >= self._max_steps)
        self._ended = terminated | truncated
        extra: dict[str, Any] = {}
        if self._mode is AutoresetMode.SAME_STEP and self._ended.any():
            ended = self._ended.copy()
            extra = self._restart(rows, successes, ended)
            rows = self._rows()
            _, now = self.task.judge(rows, self._context_array)
            successes = np.where(ended, now, successes)
        info = {**extra, **self._info(successes, np.ones_like(fresh))}
        return self._observe(rows), rewards, terminated, truncated, info

    def close_extras(self, **kwargs: Any) -> None:
        """Free the renderer."""
        self._eye.close()

    def _advance(self, actions: np.ndarray, fresh: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Simulate all but the fresh environments, which start instead; rows, rewards and successes."""
        for index in np.flatnonzero(fresh).tolist():
            self._start(index, {})
        running = np.flatnonzero(~fresh)
        self._steps[running] += 1
        rows, rewards = self._rows(), np.zeros(self.num_envs)
        successes = self.task.judge(rows, self._context_array)[1] & fresh
        for _ in range(self.settings.action_repeat):
            for index in running:
                data, rng = self._datas[index], self._rngs[index]
                episode.execute(self.task, data, actions[index], rng, self.settings.noise_scale)
                rows[index] = self.task.read(data)
            now_rewards, now_successes = self.task.judge(rows, self._context_array)
            rewards[running] += now_rewards[running]
            successes[running] |= now_successes[running]
        return rows, rewards, successes

    def _restart(self, rows: np.ndarray, successes: np.ndarray, ended: np.ndarray) -> dict[str, Any]:
        """Same-step autoreset: keep the final observations and infos, then start the ended ones."""
        final = self._observe(rows)
        final_info = self._info(successes, ended)
        final_obs = np.full(self.num_envs, None, dtype=object)
        for index in np.flatnonzero(ended).tolist():
            final_obs[index] = _item(final, index)
            self._start(index, {})
        return {
            "final_obs": final_obs,
            "_final_obs": ended.copy(),
            "final_info": final_info,
            "_final_info": ended.copy(),
        }

    def _start(self, index: int, options: dict[str, Any]) -> None:
        context = episode.start_episode(
            self.task, self._datas[index], self._rngs[index], self.settings, options
        )
        self._contexts[index] = context
        self._context_array[index] = context.as_array()
        self._steps[index] = 0
        self._ended[index] = False

    def _rows(self) -> np.ndarray:
        return np.stack([self.task.read(data) for data in self._datas])

    def _observe(self, rows: np.ndarray) -> Any:
        return self._observer.observe(rows, self._context_array, self._frames)

    def _frames(self) -> np.ndarray:
        frames = np.empty((self.num_envs, *self.settings.frame_shape), np.uint8)
        for data, frame in zip(self._datas, frames, strict=True):
            self._eye.render(data, out=frame)
        return frames

    def _info(self, successes: np.ndarray, chosen: np.ndarray) -> dict[str, Any]:
        """Gymnasium's batched info: an array and a mask `_key` for each key."""
        context: dict[str, Any] = {}
        for index in np.flatnonzero(chosen).tolist():
            current = self._contexts[index]
            assert current is not None
            context = self._add_info(context, current.to_dict(), index)
        success = np.where(chosen, successes, False)
        info: dict[str, Any] = {"success": success, "is_success": success.copy(), "context": context}
        return info | {f"_{key}": chosen.copy() for key in list(info)}

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None or isinstance(seed, int):
            return [None if seed is None else seed + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"seed must be one int or {self.num_envs} of them; got {len(seed)}.")
        return list(seed)

    def _pinned(self, context: Any) -> list[Any]:
        if isinstance(context, (list, tuple)):
            if len(context) != self.num_envs:
                raise ValueError(f"context must be one or {self.num_envs} of them; got {len(context)}.")
            return list(context)
        return [context] * self.num_envs

    def _reset_mask(self, mask: Any) -> np.ndarray:
        if mask is None:
            return np.ones(self.num_envs, bool)
        if self._mode is not AutoresetMode.DISABLED:
            raise ValueError("reset_mask needs autoreset_mode='Disabled'; this environment resets itself.")
        if not isinstance(mask, np.ndarray) or mask.shape != (self.num_envs,) or mask.dtype != bool:
            raise ValueError(f"reset_mask must be a bool array of shape ({self.num_envs},); got {mask!r}.")
        return mask


def _item(batch: Any, index: int) -> Any:
    if isinstance(batch, dict):
        return {key: value[index].copy() for key, value in batch.items()}
    return batch[index].copy()
