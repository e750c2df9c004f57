"""LatentCtx-MetaWorldGoal-v0: Sawyer tasks whose goal is given, as a place or as a picture."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import numpy as np
from gymnasium import spaces

from latentctx_envs.context import Context
from latentctx_envs.goal_images import image_distance
from latentctx_envs.meta_world.context import MetaWorldContext
from latentctx_envs.meta_world.env import CAMERA, CAMERA_INDEX, MetaWorldEnv
from latentctx_envs.meta_world.goals import GOAL_RULES
from latentctx_envs.meta_world.scripted import HORIZON, demonstration, success_state

GoalKind = Literal["state", "pixels"]
RewardKind = Literal["sparse", "dense"]
CAMERA_POSITION = (
    0.75,
    0.075,
    0.7,
)  # [m] nearer to the table than upstream's, as is usual for control from pixels
IMAGE_SIZE = 64  # [pixels]
ACTION_REPEAT = 2
REMEMBERED = 1000  # goal pictures
TRIES = 100  # contexts that are drawn until the demonstrator solves one


class MetaWorldGoalEnv(MetaWorldEnv):
    """One Meta-World task as a goal environment, in the form that Stable-Baselines3's HER reads.

    Observations are a flat Dict of "observation" (what `observation` says: "state", "position" or "pixels"; the goal is
    hidden in it), "achieved_goal" and "desired_goal". Goals of "state" are places [m], float32 (3,): of the hand or of
    the object, whichever the task moves, with zeros along axes that do not count. Goals of "pixels" are frames, uint8:
    the desired one shows the end of a scripted demonstration of the same context, with the hand where that ended.

    Reward "sparse" is 0 within the task's radius of the goal and -1 elsewhere; "dense" is minus the distance [m], or of
    pictures minus `image_distance`. It is that of the last control step, so that `compute_reward` gives it again.
    Success is upstream's. Episodes are truncated after 100 steps of two control steps; none ends early.

    Args:
        task: such as "push-v3"; goals of "state" exist for those in `goals.GOAL_RULES`, pictures for every task.
        goal: what goals are, "state" or "pixels".
        reward: "sparse" or "dense"; None for "sparse" with goals of "state" and "dense" with pictures.
        settings: those of `MetaWorldEnv`; here the goal is hidden, `image_size` is 64, `action_repeat` 2,
            `terminate_on_success` False, `window` False and "corner2" stands at `CAMERA_POSITION` by default.

    Raises:
        ValueError: an argument is out of range, or the task has no such goals.
    """

    def __init__(
        self,
        *,
        task: str = "reach-v3",
        goal: GoalKind = "state",
        reward: RewardKind | None = None,
        **settings: Any,
    ) -> None:
        defaults: dict[str, Any] = {
            "goal_visible": False,
            "image_size": IMAGE_SIZE,
            "action_repeat": ACTION_REPEAT,
            "terminate_on_success": False,
            "window": False,
            "camera_position": CAMERA_POSITION
            if settings.get("camera", CAMERA) in (CAMERA, CAMERA_INDEX)
            else None,
        }
        self._goal_kind, self._reward_kind = goal, reward if reward is not None else _usual_reward(goal)
        super().__init__(task=task, **{**defaults, **settings})
        self._rule = GOAL_RULES.get(task)
        self._check_goal(task)
        self._goal_frames: dict[Context, np.ndarray] = {}
        self.observation_space = self._goal_space()

    def compute_reward(
        self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any = None
    ) -> np.ndarray:
        """The reward of reaching one goal where another was desired.

        Args:
            achieved_goal: of one step, or of n steps along the first axis.
            desired_goal: of the same shape.
            info: not read.

        Returns:
            float64, () or (n,).
        """
        if self._goal_kind == "pixels":
            return -image_distance(achieved_goal, desired_goal)
        distance = np.linalg.norm(
            np.asarray(achieved_goal, np.float64) - np.asarray(desired_goal, np.float64), axis=-1
        )
        if self._reward_kind == "dense":
            return -distance
        assert self._rule is not None
        return -(distance > self._rule.radius).astype(np.float64)

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Apply one action for `action_repeat` control steps; a success in any of them counts."""
        observation, _, terminated, truncated, info = super().step(action)
        reward = self.compute_reward(observation["achieved_goal"], observation["desired_goal"], info)
        return observation, float(reward), terminated, truncated, info

    def draw_context(self, rng: np.random.Generator) -> Context:
        """A context that an episode may have; with picture goals one that the demonstrator solves."""
        for _ in range(TRIES):
            context = super().draw_context(rng)
            assert isinstance(context, MetaWorldContext)
            if self._goal_kind == "state" or success_state(context) is not None:
                return context
            self._kept = None
        raise RuntimeError(f"the demonstrator solved none of {TRIES} contexts of {self._tasks[0]}.")

    def goal_image(self) -> np.ndarray:
        """The end of a demonstration of the running episode's context, uint8 (h, w, 3).

        Raises:
            RuntimeError: no episode is running.
            ValueError: the demonstrator does not solve this context.
        """
        context = self.current_context
        if context not in self._goal_frames:
            with self._set_aside():
                self._remember_goal(context)
        return self._goal_frames[context].copy()

    def demonstration(self) -> np.ndarray:
        """A film of the demonstration whose end the goal is, one frame a decision, uint8 (t, h, w, 3); the last is the goal.

        Raises:
            RuntimeError: no episode is running.
            ValueError: the demonstrator does not solve this context.
        """
        context, every = self.current_context, self.settings.action_repeat
        assert isinstance(context, MetaWorldContext)
        film = []
        with self._set_aside():
            states = demonstration(context)
            if states is None:
                raise ValueError(_unsolved(context))
            for state in states[(len(states) - 1) % every :: every]:
                self._pose(state, context)
                film.append(self._eye().render(self._data))
        return np.stack(film)

    def goal_distance(self) -> float:
        """How far the running episode is from its goal [m], whatever the goals are: for measuring, not for learning.

        NaN for tasks that are not in `goals.GOAL_RULES`: none of their places is the goal.
        """
        self.current_context  # noqa: B018  refuses where no episode is running
        if self._rule is None:
            return np.nan
        apart = self._rule.achieved(self._engine, self._now) - self._rule.desired(self._engine)
        return float(np.linalg.norm(apart))

    def __getstate__(self) -> dict[str, Any]:
        """As of `MetaWorldEnv`; goal pictures are drawn anew."""
        return {**super().__getstate__(), "_goal_frames": {}}

    def _start(self, context: Context) -> None:
        if self._goal_kind == "pixels" and context not in self._goal_frames:
            self._remember_goal(context)
        super()._start(context)

    @contextmanager
    def _set_aside(self) -> Iterator[None]:
        """Pose other states within; the running episode goes on after it."""
        now, before = self._engine.physics_state(), self._engine._prev_obs
        try:
            yield
        finally:
            self._engine.set_physics_state(now)
            self._engine._prev_obs = before

    def _remember_goal(self, context: Context) -> None:
        """Draw the goal picture of a context; it ends the running episode."""
        assert isinstance(context, MetaWorldContext)
        self.check_context(context)
        state = success_state(context)
        if state is None:
            raise ValueError(_unsolved(context))
        self._pose(state, context)
        if len(self._goal_frames) >= REMEMBERED:
            del self._goal_frames[next(iter(self._goal_frames))]
        self._goal_frames[context] = self._eye().render(self._data)

    def _observe(self) -> dict[str, np.ndarray]:
        observation = super()._observe()
        if self._goal_kind == "state":
            assert self._rule is not None
            achieved = self._rule.achieved(self._engine, self._now)
            return {
                "observation": observation,
                "achieved_goal": achieved,
                "desired_goal": self._rule.desired(self._engine),
            }
        seen = self.settings.observation == "pixels"
        achieved = observation.copy() if seen else self._eye().render(self._data)
        return {"observation": observation, "achieved_goal": achieved, "desired_goal": self.goal_image()}

    def _goal_space(self) -> spaces.Dict:
        if self._goal_kind == "pixels":
            goals = [spaces.Box(0, 255, self.settings.frame_shape, np.uint8) for _ in range(2)]
        else:
            goals = [spaces.Box(-np.inf, np.inf, (3,), np.float32) for _ in range(2)]
        return spaces.Dict(
            {"observation": self.observation_space, "achieved_goal": goals[0], "desired_goal": goals[1]}
        )

    def _check_goal(self, task: str) -> None:
        """Refuse combinations that have no meaning, in words."""
        if self._goal_kind not in get_args(GoalKind) or self._reward_kind not in get_args(RewardKind):
            raise ValueError(
                f"goal is 'state' or 'pixels', and reward None, 'sparse' or 'dense'; "
                f"got {self._goal_kind!r} and {self._reward_kind!r}."
            )
        if self._goal_kind == "pixels" and self._reward_kind == "sparse":
            raise ValueError("picture goals have no radius: reward='sparse' needs goal='state'.")
        if self._goal_kind == "state" and self._rule is None:
            raise ValueError(
                f"goals of 'state' exist for {', '.join(GOAL_RULES)}; got {task!r}: choose goal='pixels'."
            )
        if isinstance(self.observation_space, spaces.Dict):
            raise ValueError(
                f"a goal environment's observation is one array: name one kind, and with pixels context='hidden'; "
                f"got observation={self.settings.observation!r}, context={self.settings.context!r}."
            )


def _usual_reward(goal: str) -> RewardKind:
    return "dense" if goal == "pixels" else "sparse"


def _unsolved(context: MetaWorldContext) -> str:
    """Why there is no picture of a goal."""
    return (
        f"no picture of this goal: the scripted policy of {context.task} does not solve {context.vector} within "
        f"{HORIZON} steps; pin another context."
    )
