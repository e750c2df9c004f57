"""What adapters of foreign simulators share: frames, a goal that is a picture, and the reward of coming near it."""

from abc import abstractmethod
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from latentctx_envs.goal_images import image_distance
from latentctx_envs.registration import family_of
from latentctx_envs.settings import check_flag

KEYS = ("observation", "achieved_goal", "desired_goal")


class PictureGoalEnv(gym.Env[dict[str, np.ndarray], np.ndarray]):
    """A goal environment in the form that HER reads, whose goal is a picture.

    Observations are a flat Dict of frames, uint8 (h, w, 3): "observation", again as "achieved_goal", and "desired_goal".
    The reward is minus `image_distance`.

    Args:
        frame_shape: (h, w, 3).
        terminates: end an episode at the first success.
        render_mode: None or "rgb_array", the frame that is observed.

    Raises:
        ValueError: another render mode.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}

    def __init__(
        self, frame_shape: tuple[int, int, int], *, terminates: bool, render_mode: str | None
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be None or 'rgb_array'; got {render_mode!r}.")
        check_flag("terminate_on_success", terminates)
        self.render_mode = render_mode
        self.observation_space = spaces.Dict({key: spaces.Box(0, 255, frame_shape, np.uint8) for key in KEYS})
        self._terminates = terminates
        self._frames: tuple[np.ndarray, np.ndarray] | None = None  # seen now, and desired
        self._success = False

    @property
    def family(self) -> str | None:
        """Whose body and scene it shows, such as "walker"; None if it was not made by its id."""
        return family_of(self.spec)

    @property
    @abstractmethod
    def _context_dict(self) -> dict[str, Any]:
        """The running episode's context as plain values, for info."""

    def compute_reward(
        self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any = None
    ) -> np.ndarray:
        """Minus `image_distance`: the reward of reaching one picture where another was desired.

        Args:
            achieved_goal: uint8 (h, w, 3), or of n steps (n, h, w, 3); or with the channels first, (n, 3, h, w), as
                Stable-Baselines3 keeps pictures in its replay buffers.
            desired_goal: of the same shape.
            info: not read.

        Returns:
            float64, () or (n,), from -1 to 0.
        """
        return -image_distance(achieved_goal, desired_goal)

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """The frame that is observed, uint8 (h, w, 3), or None without a render mode or an episode."""
        return self._frames[0].copy() if self.render_mode == "rgb_array" and self._frames else None

    def _arrived(self) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """What `step` returns where `_frames` and `_success` are those after the move."""
        observation, info = self._observe(), self._info()
        reward = self.compute_reward(observation["achieved_goal"], observation["desired_goal"], info)
        return observation, float(reward), self._success and self._terminates, False, info

    def _observe(self) -> dict[str, np.ndarray]:
        assert self._frames is not None
        now, desired = self._frames
        return dict(zip(KEYS, (now.copy(), now.copy(), desired.copy()), strict=True))

    def _info(self) -> dict[str, Any]:
        return {"success": self._success, "is_success": self._success, "context": self._context_dict}
