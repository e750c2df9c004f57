"""LatentContextEnv: a Gymnasium environment whose context is hidden from the learner."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium import spaces

from latentctx_envs import episode
from latentctx_envs.context import Context, Split, check_split_of
from latentctx_envs.observation import Observer
from latentctx_envs.registration import family_of
from latentctx_envs.rendering import Renderer
from latentctx_envs.settings import Settings

VIEW_SIZE = (256, 256)  # [pixels] of `render()`, the viewer's picture


class LatentContextEnv(gym.Env[Any, np.ndarray], ABC):
    """One world with a hidden context, the base of every family's environment.

    `reset(options={"context": c})` pins the context (a `Context` or its dict); without it one is drawn from
    `settings.context_split` with the environment's own seeded generator. `reset(options={"physics_state": s})`
    starts from a stored state. `info` always holds `success` and `is_success` (bool, of this step) and `context`
    (a dict of plain values, privileged).

    Args:
        settings: what is observed, the contexts, how actions are executed.
        context_type: of the contexts.
        vector_spaces: the spaces of "state" and "position".
        action_space: of one control step.
        render_fps: control steps a second.
        render_mode: None or "rgb_array", the 256 px picture of `render()`.
        splits: that its contexts have; None for those of their type.

    Raises:
        ValueError: `render_mode` is unknown, or the contexts have no such split.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}
    context_shapes_start: bool = False  # whether the context also decides the start state, which is seen
    shows_context: bool = False  # whether something in the scene can show the context
    goal_in_state: bool = (
        False  # whether `goal_visible` decides what "state" holds, beside what pictures show
    )

    def __init__(
        self,
        settings: Settings,
        *,
        context_type: type[Context],
        vector_spaces: Mapping[str, spaces.Box],
        action_space: spaces.Box,
        render_fps: int,
        render_mode: str | None = None,
        splits: Sequence[Split] | None = None,
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be None or 'rgb_array'; got {render_mode!r}.")
        self.splits = tuple(splits or context_type.splits)
        check_split_of(settings.context_split, self.splits, self)
        self.metadata = {**self.metadata, "render_fps": render_fps / settings.action_repeat}
        self.settings = settings
        self.context_type = context_type
        self.vector_spaces = dict(vector_spaces)
        self.render_fps = render_fps
        self.render_mode = render_mode
        self._observer = Observer(vector_spaces, context_type, settings)
        self.observation_space = self._observer.space
        self.action_space = copy.deepcopy(action_space)
        self._context: Context | None = None
        self._contexts = np.zeros(
            (1, *context_type.space().shape), np.float32
        )  # its vector, as a batch of one

    @property
    def family(self) -> str | None:
        """Whose body and scene it shows, such as "walker"; None if it was not made by its id."""
        return family_of(self.spec)

    @property
    def current_context(self) -> Context:
        """The context of the running episode (privileged)."""
        if self._context is None:
            raise RuntimeError("no episode is running: call reset() first.")
        return self._context

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode; the class names the options."""
        checked = episode.check_options(options, episode.RESET_OPTIONS)
        pinned = checked.get("context")
        if pinned is not None:
            pinned = self.context_type.coerce(pinned)
            self.check_context(pinned)
        super().reset(seed=seed)
        # drawn even if one is pinned: a seed gives the same start state either way
        context = self.draw_context(self.np_random)
        if pinned is not None:
            context = pinned
        self._context = None
        self._start(context)
        if checked.get("physics_state") is not None:
            self._restore(checked["physics_state"])
        self._context, self._contexts = context, context.as_array()[None]
        return self._observe(), self._info(self._succeeds())

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Apply one action for `action_repeat` control steps; a success in any of them counts."""
        space = self.action_space
        assert isinstance(space, spaces.Box)
        checked = episode.check_action(action, space.shape)[None]
        reward, success, sums = 0.0, False, self._accumulates()
        for _ in range(self.settings.action_repeat):
            controls = episode.executed(checked, space, [self.np_random], self.settings.noise_scale)
            now_reward, now_success = self._control(controls)
            reward = reward * sums + now_reward
            success |= now_success
        terminated = success and self.settings.terminate_on_success
        return self._observe(), reward, terminated, False, self._info(success)

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """The viewer's picture, uint8 (256, 256, 3), or None without a render mode."""
        return self._viewer().render(self._data) if self.render_mode == "rgb_array" else None

    def frame(
        self,
        state: np.ndarray,
        context: Context | Mapping[str, Any],
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """What the observing camera sees of a stored physics state; it ends the running episode.

        Args:
            state: a `physics_state()`, float64 (k,).
            context: the context of that episode.
            out: uint8 (h, w, 3) to write into; by default a new array.
        """
        self._context = None
        self._pose(state, self.context_type.coerce(context))
        return self._eye().render(self._data, out=out)

    def state_observation(self) -> np.ndarray:
        """What "state" shows now, whatever this environment observes: float32 (d,), without the context."""
        return self._vector("state")[0]

    def check_context(self, context: Context) -> None:
        """Refuse a context that no episode of this world has, though it is of its type.

        Raises:
            ValueError: it is one.
        """

    def position_of(self, states: np.ndarray) -> np.ndarray:
        """What "position" would have shown where "state" showed these: float32 (n, p) of (n, d)."""
        (size,) = self.vector_spaces["position"].shape
        return states[:, :size]

    @abstractmethod
    def draw_context(self, rng: np.random.Generator) -> Context:
        """A context that an episode may have, of the settings' split, drawn from `rng`."""

    @abstractmethod
    def physics_state(self) -> np.ndarray:
        """The full physics state, float64 (k,); `reset(options={"physics_state": s})` restores it."""

    # --- what a family provides ---

    @property
    @abstractmethod
    def _data(self) -> mujoco.MjData:
        """The physics of the running episode."""

    @abstractmethod
    def _start(self, context: Context) -> None:
        """Put the physics into a start state of an episode with this context, drawn from `np_random`."""

    @abstractmethod
    def _restore(self, state: np.ndarray) -> None:
        """Put the physics of the episode that was just started into a stored state."""

    @abstractmethod
    def _pose(self, state: np.ndarray, context: Context) -> None:
        """Put the physics into a stored state of an episode with this context, for a picture."""

    @abstractmethod
    def _control(self, controls: np.ndarray) -> tuple[float, bool]:
        """Simulate one control step of controls (1, a); its reward and success."""

    @abstractmethod
    def _succeeds(self) -> bool:
        """Whether the start state is a success."""

    @abstractmethod
    def _vector(self, kind: str) -> np.ndarray:
        """The "state" or "position" observation, float32 (1, d), a new array."""

    @abstractmethod
    def _eye(self) -> Renderer:
        """The camera that makes pixel observations."""

    @abstractmethod
    def _viewer(self) -> Renderer:
        """The camera of `render()`."""

    def _accumulates(self) -> bool:
        """Whether the rewards of an action's control steps add up; else the last one counts alone."""
        return True

    def _observe(self) -> Any:
        batch = self._observer.observe(
            self._vector, self._contexts, lambda: self._eye().render(self._data)[None]
        )
        if isinstance(batch, dict):
            return {key: value[0] for key, value in batch.items()}
        return batch[0]

    def _info(self, success: bool) -> dict[str, Any]:
        context = self.current_context.to_dict()
        return {"success": success, "is_success": success, "context": context}
