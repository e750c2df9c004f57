"""Image-goal worlds seen through plans: observations are features and a latent, rewards are not the environment's."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.foresight import Foresight
from latentctx_agents.pvdr.goal_venv import LEAST, GoalVecEnv
from latentctx_agents.pvdr.planning import Planner
from latentctx_agents.pvdr.reading import Reading
from latentctx_agents.pvdr.replay import Replay

AVERAGING = 0.99  # of the moving average of how far one step goes


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """What the agent is rewarded for; the environment's own reward is never looked at.

    Raises:
        ValueError: a weight is negative.
    """

    plan: float = 0.1  # weight of doing what was planned
    goal: float = 1.0  # weight of getting nearer to the goal's picture
    # by the distance that plans are chosen by, or by `image_distance`
    nearer: Literal["planned", "image"] = "planned"

    def __post_init__(self) -> None:
        """Refuse negative weights, and NaN."""
        if not (self.plan >= 0.0 and self.goal >= 0.0):
            raise ValueError(f"weights start at 0; got plan={self.plan} and goal={self.goal}.")


class PlanningVecEnv(GoalVecEnv):
    """Observations float32 (r + n): what is read of the chosen plan, and how far each of its frames is from the goal.

        r_plan = -d(o', planned o') / (what one step goes on average), clipped to [-1, 0]
        r_goal = (d(o, g) - d(o', g)) / d(o_0, g), which telescopes: no loop can farm it

    d is the planner's distance; that of r_goal is `image_distance` of the frames with `nearer="image"`.

    Args:
        venv: worlds whose observations are a Dict of frames "observation" and "desired_goal".
        model: tokenizer and dynamics; what they learn meanwhile is used from the next step on.
        planner: chooses the latents.
        reading: what of a plan is observed.
        rewards: weights.

    Raises:
        ValueError: the worlds show no such frames.
    """

    def __init__(
        self,
        venv: VecEnv,
        model: VideoModel,
        planner: Planner,
        reading: Reading,
        rewards: RewardConfig | None = None,
    ) -> None:
        self._model, self._distance = model, planner.distance
        self._rewards = RewardConfig() if rewards is None else rewards
        sizes = model.config
        self._foresight = Foresight(model, planner, reading, venv.num_envs)
        super().__init__(venv, spaces.Box(-np.inf, np.inf, (self._foresight.size,), np.float32))
        self.replay = Replay(venv.num_envs, sizes.context, sizes.future)
        self._step: Tensor | None = None  # of each kind of distance

    def begin(self, rows: np.ndarray, frames: np.ndarray, goals: np.ndarray) -> None:
        """Episodes of some environments begin: their context is the first frame alone."""
        tokens = self._foresight.begin(rows, frames, goals)
        for row, first in zip(rows.tolist(), tokens, strict=True):
            self.replay.begin(row, first.numpy().astype(np.int16))

    def move(self, frames: np.ndarray, towards: np.ndarray, infos: list[dict[str, Any]]) -> np.ndarray:
        """All environments moved: remember it, and reward it in both ways."""
        tokens = self._foresight.tokens(frames)
        adherence = self._adherence(tokens)
        for row in range(self.num_envs):
            self.replay.add(row, self.actions[row], tokens[row].numpy().astype(np.int16))
            infos[row]["reward_plan"] = adherence[row]
        if self._rewards.nearer == "planned":
            towards = self._nearer(tokens)
        self._foresight.follow(tokens)
        return self._rewards.plan * adherence + self._rewards.goal * towards

    def observe(self) -> np.ndarray:
        """Plan, and show the plan."""
        return self._foresight.look()

    @torch.inference_mode()
    def _nearer(self, tokens: Tensor) -> np.ndarray:
        """How much nearer to the goals all came from the last frames to tokens (b, 64), as shares of the way."""
        seen = self._foresight
        was, left = (self._distance(each, seen.goal, seen.scale) for each in (seen.context[:, -1], tokens))
        return (was - left).numpy()

    @torch.inference_mode()
    def _adherence(self, tokens: Tensor) -> np.ndarray:
        context, plan = self._foresight.context, self._foresight.plan
        missed = self._distance.missed(self._model.dynamics, context, plan.latent, plan.future, tokens)
        went = self._distance.parts(tokens, context[:, -1]).mean(dim=0)
        self._step = went if self._step is None else torch.lerp(went, self._step, AVERAGING)
        return (missed / (self._step + LEAST)).mean(dim=-1).neg().clamp(-1.0, 0.0).numpy()
