"""A Meta-World task with upstream's observations, rewards and physics, and without most of its overhead.

What is left out changes no bit: forces that nobody reads (`mj_rnePostConstraint`), the places of target sites,
which the forward pass computes anew, copies, checks, look-ups by name, scipy for one quaternion, Python loops over
all contacts, the repeated walk of the hand to its start (`resets`). Upstream's forward pass after a step stays: it
leaves the accelerations that the solver of the next step starts from, and without it the last bits drift away.
"""

import copy
import functools
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS

from latentctx_envs.meta_world import resets
from latentctx_envs.meta_world.borrowed import compose
from latentctx_envs.meta_world.senses import FRAME, Senses
from latentctx_envs.stored_state import checked_state, get_state

NOTED = ("_target_to_obj_init",)  # attributes in which upstream's reward functions keep notes


class Sawyer(Senses):
    """The fast half of every environment that `make_sawyer` returns; the other half is upstream's task.

    An episode is decided by its random vector `rand_vec`: where the objects and the goal are. `reset(rand_vec=v)`
    sets it; without it one is drawn from the environment's seeded generator. `step` is `command`, `advance` and
    `outcome`, so that many environments can be advanced together.
    """

    task: str
    _made_with: dict[str, Any]

    def __init__(self, task: str, goal_observed: bool, **rendering: Any) -> None:
        self.task = task
        self._made_with = {"task": task, "goal_observed": goal_observed, **rendering}
        self._walks = resets.Walks()
        self._walking = False
        self._pinned: np.ndarray | None = None
        self._moved_hand = False
        super().__init__(**rendering)
        self._hand_home = self.hand_init_pos
        self._partially_observable = not goal_observed
        del self.sawyer_observation_space  # cached by upstream before it knows
        self.observation_space = self.sawyer_observation_space
        self._end_episode()

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(make_sawyer, **self._made_with), ()

    # --- episodes ---

    def reset(
        self,
        seed: int | None = None,
        options: dict[str, Any] | None = None,
        *,
        rand_vec: np.ndarray | None = None,
        hand_offset: np.ndarray | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode, in the state of a fresh environment of upstream's with this random vector.

        Args:
            seed: seeds the generator that random vectors are drawn from.
            options: none are known.
            rand_vec: where objects and goal are [m], float64, within `_random_reset_space`.
            hand_offset: how far from its usual place the hand starts [m], (3,).

        Raises:
            ValueError: an option was given, or the task does not take the random vector.
        """
        if options:
            raise ValueError(f"reset() knows no options, only seed and rand_vec; got {sorted(options)}.")
        gym.Env.reset(self, seed=seed)
        self._moved_hand = hand_offset is not None
        self.hand_init_pos = self._hand_home if hand_offset is None else self._hand_home + hand_offset
        self._pinned = None if rand_vec is None else self._checked(rand_vec)
        self._pinned = self._arrange(self.np_random)
        mujoco.mj_resetData(self.model, self.data)
        self._walking, self._asked = True, False
        observation = self.reset_model()
        self._walking = False
        self._prev_obs = observation[:FRAME].copy()
        observation[FRAME : 2 * FRAME] = self._prev_obs
        self.curr_path_length = 0
        if self.render_mode == "human":
            self.render()
        return observation, {}

    def sample_rand_vec(self, rng: np.random.Generator) -> np.ndarray:
        """A random vector that the task takes, drawn from `rng`; it ends the running episode."""
        self._pinned = None
        return self._arrange(rng).copy()

    @property
    def rand_vec(self) -> np.ndarray:
        """The random vector of the running episode."""
        if self._pinned is None:
            raise RuntimeError("no episode is running: call reset() first.")
        return self._pinned.copy()

    @property
    def observed_goal(self) -> np.ndarray:
        """Where the goal of the running episode is [m], float64 (3,), as the observation holds it."""
        return np.array(self._get_pos_goal())

    @property
    def target(self) -> np.ndarray:
        """Where the task's point should be in the running episode [m], float64 (3,), as success is judged."""
        assert self._target_pos is not None  # every reset sets it
        return self._target_pos.copy()

    @property
    def notes(self) -> dict[str, Any]:
        """What the reward function has noted in the running episode; only bin-picking's notes anything."""
        return {name: copy.copy(getattr(self, name)) for name in NOTED if hasattr(self, name)}

    @notes.setter
    def notes(self, notes: Mapping[str, Any]) -> None:
        for name, value in notes.items():
            setattr(self, name, value)

    def physics_state(self, parts: int = resets.STATE) -> np.ndarray:
        """All that the physics of the next step depends on beside action and random vector, float64 (k,).

        Args:
            parts: of `mujoco.mjtState`; `resets.LEAST` is enough between two steps.
        """
        return get_state(self.model, self.data, parts)

    def set_physics_state(self, state: np.ndarray, parts: int = resets.STATE) -> None:
        """Go on from a stored `physics_state()` of an episode with the same random vector.

        The next observation has the restored frame as its previous one. What a reward function has noted in the
        episode (only bin-picking's notes anything) is not part of the state.

        Raises:
            ValueError: the state has another length or is not finite.
        """
        state = checked_state(state, mujoco.mj_stateSize(self.model, parts))
        mujoco.mj_setState(self.model, self.data, state, parts)
        mujoco.mj_forward(self.model, self.data)
        mujoco.mj_setState(self.model, self.data, state, parts)  # the pass has moved the warm start
        self._prev_obs = self._get_curr_obs_combined_no_goal()

    def set_task(self, task: Any) -> None:
        """Refused: a pickled task is not needed."""
        raise NotImplementedError("this environment takes no pickled task: call reset(rand_vec=...).")

    def _arrange(self, rng: np.random.Generator) -> np.ndarray:
        """Move the task's bodies where the pinned vector, or one drawn from `rng`, says; return the vector.

        Upstream's first of two `reset_model` calls, without the walk: it only matters for what it does to the model.
        """
        self._end_episode()
        self._drawing, self._asked = rng, False
        mujoco.mj_resetData(self.model, self.data)
        mujoco.mj_kinematics(self.model, self.data)
        self.reset_model()
        vector = self._pinned if self._pinned is not None else self._last_rand_vec
        assert vector is not None  # every reset_model asks for one
        return vector

    def _end_episode(self) -> None:
        self.curr_path_length = self.max_path_length

    def _checked(self, rand_vec: np.ndarray) -> np.ndarray:
        box = self._random_reset_space
        assert box is not None  # every task sets it
        vector = np.array(rand_vec, dtype=np.float64)
        if vector.shape != box.shape or not ((box.low <= vector) & (vector <= box.high)).all():
            raise ValueError(
                f"rand_vec of {self.task} lies between {box.low.tolist()} and {box.high.tolist()}; "
                f"got {vector.tolist()}."
            )
        return vector

    def _get_state_rand_vec(self) -> np.ndarray:
        if self._pinned is None:
            box = self._random_reset_space
            assert box is not None
            self._last_rand_vec = self._drawing.uniform(box.low, box.high, size=box.low.size)
            return self._last_rand_vec
        if self._asked:  # upstream asks again, for ever, until it likes the vector
            raise ValueError(
                f"{self.task} does not take rand_vec {self._pinned.tolist()}: object and goal are too close. "
                f"sample_rand_vec() draws one that it takes."
            )
        self._asked = True
        return self._pinned

    def _reset_hand(self, steps: int = 50) -> None:
        meets = self.task in resets.HAND_MEETS_OBJECT
        if self._walking or not meets:
            self.data.mocap_pos[0] = self.hand_init_pos
            self.data.mocap_quat[0] = (1, 0, 1, 0)
            self.data.ctrl[:] = (-1, 1)
            key = self.rand_vec.tobytes() if meets else b""
            self._walks.end(self.model, self.data, steps * self.frame_skip, None if self._moved_hand else key)
        self.init_tcp = self.tcp_center

    # --- steps ---

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move the hand by `action[:3]` [cm] and pull the fingers with `action[3]`.

        Raises:
            ValueError: the action has another shape, or the episode is over.
        """
        action = np.asarray(action)
        if action.shape != (4,):
            raise ValueError(f"action must have shape (4,); got {action.shape}.")
        if self.curr_path_length >= self.max_path_length:
            raise ValueError(
                f"no episode is running: call reset() first, and every {self.max_path_length} steps."
            )
        self.command(action)
        self.advance()
        return self.outcome(action)

    def command(self, action: np.ndarray) -> None:
        """Set the controls of an action (4,)."""
        data = self.data
        target = data.mocap_pos[0]
        move = np.minimum(np.maximum(action[:3], -1), 1) * self.action_scale  # in the action's own precision
        np.minimum(np.maximum(target + move, self.mocap_low), self.mocap_high, out=target)
        data.mocap_quat[0] = (1, 0, 1, 0)
        data.ctrl[:] = (action[3], -action[3])

    def advance(self) -> None:
        """Simulate one step; all of it inside MuJoCo, without Python's lock."""
        mujoco.mj_step(self.model, self.data, nstep=self.frame_skip)
        mujoco.mj_forward(self.model, self.data)

    def outcome(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """What `step` returns for the action that was simulated."""
        self.curr_path_length += 1
        observation = self._within(self._get_obs())
        reward, info = self.evaluate_state(observation, action)
        return observation.copy(), reward, False, self.curr_path_length == self.max_path_length, info

    def succeeds(self, observation: np.ndarray) -> bool:
        """Whether the task counts as done where an observation shows it, without an action."""
        _, info = self.evaluate_state(self._within(observation), np.zeros(4, np.float32))
        return bool(info["success"])

    def _within(self, observation: np.ndarray) -> np.ndarray:
        space = self.sawyer_observation_space
        return np.minimum(np.maximum(observation, space.low), space.high)


def make_sawyer(
    task: str,
    *,
    goal_observed: bool = True,
    render_mode: str | None = None,
    camera_name: str | None = None,
    camera_id: int | None = None,
    width: int = 480,
    height: int = 480,
) -> Sawyer:
    """A task of Meta-World V3.

    Args:
        task: upstream's name, such as "reach-v3".
        goal_observed: the last three numbers of the observation are the goal's position, else zeros.
        render_mode: upstream's, as are the following.
        camera_name: of the camera.
        camera_id: of the camera, instead of its name.
        width: of a picture [pixels].
        height: of a picture [pixels].

    Raises:
        ValueError: upstream has no such task.
    """
    return _sawyer_class(task)(
        task,
        goal_observed,
        render_mode=render_mode,
        camera_name=camera_name,
        camera_id=camera_id,
        width=width,
        height=height,
    )


@functools.cache
def _sawyer_class(task: str) -> type[Sawyer]:
    if task not in ALL_V3_ENVIRONMENTS:
        raise ValueError(
            f"Meta-World V3 has no task {task!r}; it has {', '.join(sorted(ALL_V3_ENVIRONMENTS))}."
        )
    theirs = ALL_V3_ENVIRONMENTS[task]
    return compose(f"Fast{theirs.__name__}", Sawyer, theirs)


@functools.cache
def shared_sawyer(task: str) -> Sawyer:
    """An engine of the task for questions that belong to no episode, made once a process."""
    return make_sawyer(task)
