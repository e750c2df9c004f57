"""Worlds with goal pictures as Stable-Baselines3 sees them here: no reward but that of coming nearer to the picture."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from latentctx_envs.goal_images import image_distance

LEAST = 1e-6  # of what distances are divided by


class GoalVecEnv(VecEnvWrapper, ABC):
    """Follows frames and goal pictures of all environments; what is observed and rewarded is a subclass's.

        r_goal = (d(o, g) - d(o', g)) / d(o_0, g), which telescopes: no loop can farm it

    d is `image_distance`; infos hold it as "reward_goal". The environments' own rewards are not looked at.

    Args:
        venv: worlds whose observations are a Dict of frames "observation" and "desired_goal".
        observation_space: of what `observe` gives.

    Raises:
        ValueError: the worlds show no such frames.
    """

    def __init__(self, venv: VecEnv, observation_space: spaces.Space[Any]) -> None:
        _check_frames(venv.observation_space)
        super().__init__(venv, observation_space=observation_space)
        count = venv.num_envs
        self._apart = np.ones(count)  # image distance of an episode's first frame to its goal
        self._frames = np.zeros((count, 64, 64, 3), np.uint8)
        self._goals = self._frames.copy()
        self.actions = np.zeros((count, 1), np.float32)  # the last ones, clipped

    @abstractmethod
    def begin(self, rows: np.ndarray, frames: np.ndarray, goals: np.ndarray) -> None:
        """Episodes of the environments `rows` (k,) begin with frames and goals (k, 64, 64, 3)."""

    @abstractmethod
    def move(self, frames: np.ndarray, towards: np.ndarray, infos: list[dict[str, Any]]) -> np.ndarray:
        """All environments came to frames (b, 64, 64, 3), nearer to their goals by `towards` (b,); the rewards (b,)."""

    @abstractmethod
    def observe(self) -> np.ndarray:
        """What is observed of all environments now."""

    def reset(self) -> np.ndarray:
        """The first observations of all."""
        seen = self.venv.reset()
        assert isinstance(seen, dict)
        self._begin(seen, np.arange(self.num_envs))
        return self.observe()

    def step_async(self, actions: np.ndarray) -> None:
        """Actions, clipped as the worlds do."""
        assert isinstance(self.action_space, spaces.Box)
        self.actions = np.clip(actions, self.action_space.low, self.action_space.high)
        self.venv.step_async(self.actions)

    def step_wait(self) -> Any:
        """One step of all."""
        seen, _, dones, infos = self.venv.step_wait()
        assert isinstance(seen, dict)
        frames = np.array(seen["observation"])
        for row in np.flatnonzero(dones):
            frames[row] = infos[row]["terminal_observation"]["observation"]
        before = image_distance(self._frames, self._goals)
        towards = (before - image_distance(frames, self._goals)) / self._apart
        infos = [{**info, "reward_goal": gain} for info, gain in zip(infos, towards, strict=True)]
        rewards = self.move(frames, towards, infos)
        self._frames = frames
        ended = np.flatnonzero(dones)
        if len(ended):
            last = self.observe()
            for row in ended:
                infos[row]["terminal_observation"] = last[row]
            self._begin(seen, ended)
        return self.observe(), rewards.astype(np.float32), dones, infos

    def _begin(self, seen: dict[str, np.ndarray], rows: np.ndarray) -> None:
        frames, goals = seen["observation"][rows], seen["desired_goal"][rows]
        self._frames[rows], self._goals[rows] = frames, goals
        self._apart[rows] = np.maximum(image_distance(frames, goals), LEAST)
        self.begin(rows, frames, goals)


def _check_frames(space: spaces.Space[Any]) -> None:
    """Refuse worlds without frames of 64 px and pictures of goals."""
    wanted = (64, 64, 3)
    found = (
        {k: getattr(space.spaces.get(k), "shape", None) for k in ("observation", "desired_goal")}
        if isinstance(space, spaces.Dict)
        else {}
    )
    if found != {"observation": wanted, "desired_goal": wanted}:
        raise ValueError(
            f"planning needs frames and goal pictures of {wanted}; these worlds show {space}. Make them with "
            "observation='pixels', goal='pixels' and image_size=64."
        )
