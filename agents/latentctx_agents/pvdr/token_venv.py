"""Image-goal worlds as tokens: what all baselines without a video model follow and remember."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from latentctx_agents.pvdr.goal_venv import GoalVecEnv
from latentctx_agents.pvdr.replay import Replay
from latentctx_agents.pvdr.tokenizer import Tokenizer
from latentctx_agents.pvdr.tokens import tokenize

SEEN = 3  # pictures: the frame before, the frame, the goal


class TokenVecEnv(GoalVecEnv):
    """Follows tokens, remembers what was done and rewards coming nearer to the goal's picture, r_goal.

    Observations are float32 (3 c * 64): codebook vectors of the last two frames and of the goal, as planes.

    Args:
        venv: worlds whose observations are a Dict of frames "observation" and "desired_goal".
        tokenizer: whose tokens.
        windows: frames of the replay's windows that are seen, and that follow.
        size: numbers of an observation, for subclasses that observe something else.

    Attributes:
        seen: tokens int16 (b, 3, 64) of the frame before, the frame and the goal.
        replay: all episodes.
    """

    def __init__(
        self, venv: VecEnv, tokenizer: Tokenizer, windows: tuple[int, int] = (2, 1), size: int | None = None
    ) -> None:
        self._tokenizer = tokenizer
        length = SEEN * 64 * tokenizer.config.code_dim if size is None else size
        super().__init__(venv, spaces.Box(-np.inf, np.inf, (length,), np.float32))
        self.seen = np.zeros((venv.num_envs, SEEN, 64), np.int16)
        self.replay = Replay(venv.num_envs, *windows)

    def begin(self, rows: np.ndarray, frames: np.ndarray, goals: np.ndarray) -> None:
        """Episodes begin: the frame before the first one is the first one."""
        self.seen[rows] = tokenize(self._tokenizer, np.stack([frames, frames, goals], axis=1))
        for row in rows.tolist():
            self.replay.begin(row, self.seen[row, 1].copy())

    def move(self, frames: np.ndarray, towards: np.ndarray, infos: list[dict[str, Any]]) -> np.ndarray:
        """All environments moved: remember it; the reward is that of coming nearer."""
        self.seen[:, 0] = self.seen[:, 1]
        self.seen[:, 1] = tokenize(self._tokenizer, frames)
        for row in range(self.num_envs):
            self.replay.add(row, self.actions[row], self.seen[row, 1].copy())
        return towards

    def observe(self) -> np.ndarray:
        """The vectors, picture after picture."""
        with torch.inference_mode():
            vectors = self._tokenizer.encoder.vectors(torch.from_numpy(self.seen.astype(np.int64)))
            return vectors.movedim(-1, -2).flatten(1).numpy()
