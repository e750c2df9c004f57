"""LatentContextVectorEnv: N environments of one task in one process, stepped as arrays."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

import gymnasium as gym
import numpy as np
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from latentctx_envs import episode
from latentctx_envs.batch import Batch
from latentctx_envs.context import Context, check_split_of
from latentctx_envs.observation import Observer
from latentctx_envs.registration import family_of
from latentctx_envs.render_pool import RenderPool
from latentctx_envs.settings import Settings, is_whole
from latentctx_envs.task import Task
from latentctx_envs.task_env import observation_renderer


@dataclasses.dataclass(frozen=True, kw_only=True)
class VectorSettings:
    """The keyword arguments that only a vector environment takes.

    Raises:
        ValueError: a number is out of range or the autoreset mode is unknown.
    """

    num_envs: int = 1  # N
    # steps after which an episode is truncated: one number for all, or N of them; None for never (`taken_from` reads
    # the arguments of `gym.make_vec`, where None is the world's own and -1 is never)
    max_episode_steps: int | Sequence[int] | None = None
    autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP  # "NextStep", "SameStep" or "Disabled"
    # threads that step the physics; None: one a core where that pays (walker), else one
    num_threads: int | None = None
    # processes that render beside this one; None: one a core, this one included
    num_workers: int | None = None

    def __post_init__(self) -> None:
        """Refuse impossible values in words and make the mode Gymnasium's enumeration."""
        if not is_whole(self.num_envs) or self.num_envs < 1:
            raise ValueError(f"num_envs must be a whole number from 1; got {self.num_envs!r}.")
        self._check_steps()
        modes = [mode.value for mode in AutoresetMode]
        if self.autoreset_mode not in (*modes, *AutoresetMode):
            raise ValueError(
                f"autoreset_mode must be one of {', '.join(modes)}; got {self.autoreset_mode!r}."
            )
        object.__setattr__(self, "autoreset_mode", AutoresetMode(self.autoreset_mode))
        if self.num_workers is not None and self.num_workers < 0:
            raise ValueError(f"num_workers must be a whole number from 0, or None; got {self.num_workers}.")

    def _check_steps(self) -> None:
        if self.max_episode_steps is None:
            return
        steps = np.asarray(self.max_episode_steps)
        if steps.shape not in ((), (self.num_envs,)) or steps.dtype.kind not in "iu" or steps.min() < 1:
            raise ValueError(
                f"max_episode_steps must be a whole number from 1, {self.num_envs} of them, -1 for no limit or None for "
                f"the world's own; got {self.max_episode_steps!r}."
            )

    @classmethod
    def taken_from(
        cls, settings: Mapping[str, Any], *, max_episode_steps: int | None
    ) -> tuple[Self, dict[str, Any]]:
        """Its own fields out of all keyword arguments, and the rest.

        Args:
            settings: all keyword arguments.
            max_episode_steps: the world's own, unless the arguments say otherwise; as in `gym.make`, None does not, and
                -1 is no limit.

        Raises:
            ValueError: a value is out of range, or the environment is to render.
        """
        if settings.get("render_mode") is not None:
            raise ValueError(
                "a native vector environment has no render(): make it with vectorization_mode='sync' to film it."
            )
        names = {field.name for field in dataclasses.fields(cls)}
        own = {name: value for name, value in settings.items() if name in names}
        rest = {
            name: value for name, value in settings.items() if name not in names and name != "render_mode"
        }
        steps = own.get("max_episode_steps")
        own["max_episode_steps"] = max_episode_steps if steps is None else steps
        if isinstance(steps, (int, np.integer)) and steps == -1:
            own["max_episode_steps"] = None
        return cls(**own), rest


class LatentContextVectorEnv(gym.vector.VectorEnv[Any, np.ndarray, np.ndarray]):
    """N copies of a `LatentContextEnv`, equal to N single environments seeded `seed + i`.

    `reset(options=...)` takes "context" (one context for all, or a sequence of N) and, with
    `autoreset_mode="Disabled"`, "reset_mask" (bool array of shape (N,)). Such a context is of one episode; `pin_context`
    is for all that follow.

    Args:
        task: physics, observations, reward and success.
        settings: what is observed, the contexts, how actions are executed.
        vector: how many, how long, how ended episodes start again, threads and rendering processes.
    """

    def __init__(self, task: Task, settings: Settings, vector: VectorSettings) -> None:
        check_split_of(settings.context_split, task.splits, self)
        self.num_envs = num_envs = vector.num_envs
        self._mode = AutoresetMode(vector.autoreset_mode)
        self.metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": self._mode}
        self.task = task
        self.settings = settings
        steps = vector.max_episode_steps
        self._max_steps = None if steps is None else np.asarray(steps, np.int64)
        self._observer = Observer(task.vector_spaces, task.context_type, settings)
        self.single_observation_space = self._observer.space
        self.single_action_space = copy.deepcopy(task.action_space)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._batch = Batch(task, num_envs, threads=vector.num_threads)
        self._eyes = RenderPool(observation_renderer(task, settings), num_envs, workers=vector.num_workers)
        self._rngs = [np.random.default_rng() for _ in range(num_envs)]
        self._contexts: list[Context | None] = [None] * num_envs
        self._pins: list[Context | None] = [None] * num_envs  # of episodes whose reset names none
        self._context_array = np.zeros((num_envs, *task.context_type.space().shape), np.float32)
        self._context_info: dict[str, Any] = {}  # Gymnasium's batched form of all contexts
        self._begun = False  # every environment has an episode
        self._steps = np.zeros(num_envs, np.int64)
        self._ended = np.zeros(num_envs, bool)

    @property
    def family(self) -> str | None:
        """Whose body and scene it shows, such as "walker"; None if it was not made by its id."""
        return family_of(self.spec)

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
        self._begun = all(context is not None for context in self._contexts)
        rows = self._batch.rows()
        _, successes = self.task.judge(rows, self._context_array)
        return self._observe(rows), self._info(successes, chosen)

    def step(self, actions: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step every environment once; ended ones follow the autoreset mode."""
        checked = episode.check_action(actions, self.action_space.shape)  # type: ignore[arg-type]
        if not self._begun:
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
        observation = self._observe(rows)
        if self._mode is AutoresetMode.SAME_STEP and self._ended.any():
            ended = self._ended.copy()
            extra = self._restart(observation, successes, ended)
            rows = self._batch.rows()
            self._renew(observation, rows, np.flatnonzero(ended))
            _, now = self.task.judge(rows, self._context_array)
            successes = np.where(ended, now, successes)
        info = {**extra, **self._info(successes, np.ones_like(fresh))}
        return observation, rewards, terminated, truncated, info

    def pin_context(self, context: Any) -> None:
        """Give each episode that starts from now on this context; the start states are those that the seeds give without.

        Args:
            context: one for all, a sequence of N, or None: drawn for each episode again.

        Raises:
            ValueError: no episode has such a context, or there are not N of them.
        """
        self._pins = self._pinned(context)

    def physics_states(self) -> np.ndarray:
        """The full physics state of each environment, float64 (N, k), as `LatentContextEnv.physics_state` gives it."""
        return np.stack([episode.physics_state(self.task, data) for data in self._batch.datas])

    def close_extras(self, **kwargs: Any) -> None:
        """Free the renderer, end threads and rendering processes."""
        self._eyes.close()
        self._batch.close()

    def _advance(self, actions: np.ndarray, fresh: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Simulate all but the fresh environments, which start instead; rows, rewards and successes."""
        rewards = np.zeros(self.num_envs)
        rows, successes, running = None, np.zeros(self.num_envs, bool), None
        if fresh.any():
            for index in np.flatnonzero(fresh).tolist():
                self._start(index, {})
            rows = self._batch.rows()
            successes = self.task.judge(rows, self._context_array)[1] & fresh
            running = np.flatnonzero(~fresh).tolist()
            actions = actions[running]
            if not running:
                return rows, rewards, successes
        rngs = self._rngs if running is None else [self._rngs[index] for index in running]
        where = slice(None) if running is None else running
        self._steps[where] += 1
        sums = self.task.accumulates(self._context_array)
        for _ in range(self.settings.action_repeat):
            space, noise = self.task.action_space, self.settings.noise_scale
            self._batch.step(episode.executed(actions, space, rngs, noise), running)
            rows = self._batch.rows()
            now_rewards, now_successes = self.task.judge(rows, self._context_array)
            rewards[where] = rewards[where] * sums[where] + now_rewards[where]
            successes[where] |= now_successes[where]
        assert rows is not None
        return rows, rewards, successes

    def _restart(self, final: Any, successes: np.ndarray, ended: np.ndarray) -> dict[str, Any]:
        """Same-step autoreset: keep the final observations and infos, then start the ended ones."""
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
        data, rng = self._batch.datas[index], self._rngs[index]
        if options.get("context") is None:
            options = {**options, "context": self._pins[index]}
        context = episode.start_episode(self.task, data, rng, self.settings, options)
        self._contexts[index] = context
        self._context_array[index] = context.as_array()
        self._context_info = self._add_info(self._context_info, context.to_dict(), index)
        self._steps[index] = 0
        self._ended[index] = False

    def _observe(self, rows: np.ndarray) -> Any:
        return self._observer.observe(
            lambda kind: self.task.observe(kind, rows),
            self._context_array,
            lambda: self._eyes.render(self._batch.datas),
        )

    def _renew(self, observation: Any, rows: np.ndarray, indices: np.ndarray) -> None:
        """Write what some environments show now into a batch of observations; no other is drawn again."""
        datas = [self._batch.datas[index] for index in indices]
        contexts = self._context_array[indices]
        part = self._observer.observe(
            lambda kind: self.task.observe(kind, rows[indices]), contexts, lambda: self._eyes.render(datas)
        )
        if isinstance(observation, dict):
            for key, value in observation.items():
                value[indices] = part[key]
        else:
            observation[indices] = part

    def _info(self, successes: np.ndarray, chosen: np.ndarray) -> dict[str, Any]:
        """Gymnasium's batched info: an array and a mask `_key` for each key."""
        info: dict[str, Any] = {
            "success": successes & chosen,
            "is_success": successes & chosen,
            "context": self._contexts_as_info(chosen),
        }
        return info | {f"_{key}": chosen.copy() for key in list(info)}

    def _contexts_as_info(self, chosen: np.ndarray) -> dict[str, Any]:
        if chosen.all():
            return {key: value.copy() for key, value in self._context_info.items()}
        context: dict[str, Any] = {}
        for index in np.flatnonzero(chosen).tolist():
            current = self._contexts[index]
            assert current is not None
            context = self._add_info(context, current.to_dict(), index)
        return context

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None or is_whole(seed):
            return [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        given: Any = seed
        several = isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str)
        seeds: list[Any] = list(given) if several else [given]
        if not all(one is None or is_whole(one) for one in seeds):
            raise ValueError(f"seed must be whole numbers, one or {self.num_envs} of them; got {seed!r}.")
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed must be one int or {self.num_envs} of them; got {len(seeds)}.")
        return [None if one is None else int(one) for one in seeds]

    def _pinned(self, context: Any) -> list[Any]:
        """One for each environment, all read before the first episode is ended by another."""
        if isinstance(context, (list, tuple)) and len(context) != self.num_envs:
            raise ValueError(f"context must be one or {self.num_envs} of them; got {len(context)}.")
        given = list(context) if isinstance(context, (list, tuple)) else [context] * self.num_envs
        contexts = [None if one is None else self.task.context_type.coerce(one) for one in given]
        for context in contexts:
            if context is not None:
                self.task.check_context(context)
        return contexts

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
