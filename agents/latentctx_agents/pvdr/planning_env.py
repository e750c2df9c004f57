"""Image-goal worlds seen through plans: observations are features and a latent, rewards are not the environment's."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.goal_venv import LEAST, GoalVecEnv
from latentctx_agents.pvdr.planning import Plan, Planner
from latentctx_agents.pvdr.reading import Reading
from latentctx_agents.pvdr.replay import Replay
from latentctx_agents.pvdr.tokens import tokenize

AVERAGING = 0.99  # of the moving average of how far one step goes


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """What the agent is rewarded for; the environment's own reward is never looked at.

    Raises:
        ValueError: a weight is negative.
    """

    plan: float = 0.1  # weight of doing what was planned
    goal: float = 1.0  # weight of getting nearer to the goal's picture
    nearer: Literal["planned", "image"] = (
        "planned"  # by the distance that plans are chosen by, or by `image_distance`
    )

    def __post_init__(self) -> None:
        """Refuse negative weights."""
        if self.plan < 0.0 or self.goal < 0.0:
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
        self._model, self._planner, self._reading = model, planner, reading
        self._rewards = RewardConfig() if rewards is None else rewards
        sizes = model.config
        super().__init__(venv, spaces.Box(-np.inf, np.inf, (reading.size + sizes.future,), np.float32))
        count = venv.num_envs
        self.replay = Replay(count, sizes.context, sizes.future)
        self._context = torch.zeros(count, sizes.context, 64, dtype=torch.int64)
        self._goal = torch.zeros(count, 64, dtype=torch.int64)
        self._scale = torch.ones(count, planner.distance.kinds)
        self._step: Tensor | None = None  # of each kind of distance
        self._plan: Plan | None = None

    def begin(self, rows: np.ndarray, frames: np.ndarray, goals: np.ndarray) -> None:
        """Episodes of some environments begin: their context is the first frame alone."""
        tokens, goal = self._tokens(frames), self._tokens(goals)
        index = torch.from_numpy(rows)
        self._context[index] = tokens[:, None].expand(-1, self._context.shape[1], -1)
        self._goal[index] = goal
        self._scale[index] = self._planner.distance.scale(tokens, goal)
        for row, first in zip(rows.tolist(), tokens, strict=True):
            self.replay.begin(row, first.numpy().astype(np.int16))

    def move(self, frames: np.ndarray, towards: np.ndarray, infos: list[dict[str, Any]]) -> np.ndarray:
        """All environments moved: remember it, and reward it in both ways."""
        tokens = self._tokens(frames)
        adherence = self._adherence(tokens)
        for row in range(self.num_envs):
            self.replay.add(row, self.actions[row], tokens[row].numpy().astype(np.int16))
            infos[row]["reward_plan"] = adherence[row]
        before = self._context[:, -1]
        self._context = torch.cat([self._context[:, 1:], tokens[:, None]], dim=1)
        if self._rewards.nearer == "planned":
            towards = self._nearer(before, tokens)
        return self._rewards.plan * adherence + self._rewards.goal * towards

    def observe(self) -> np.ndarray:
        """Plan, and show the plan."""
        plan = self._planner.plan(self._context, self._goal, self._scale)
        with torch.inference_mode():
            read = self._reading.of_plan(self._context, plan.latent, plan.future)
        self._plan = plan
        return torch.cat([read, plan.left], dim=1).numpy()

    def film(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What each environment sees now, where its chosen plan leads, and its goal, uint8 (b, 64, 64, 3) each."""
        assert self._plan is not None
        planned = self._model.tokenizer.pixels(self._plan.future[:, -1]).numpy()
        return self._frames.copy(), planned, self._goals.copy()

    def _tokens(self, frames: np.ndarray) -> Tensor:
        return torch.from_numpy(tokenize(self._model.tokenizer, frames).astype(np.int64))

    @torch.inference_mode()
    def _nearer(self, before: Tensor, after: Tensor) -> np.ndarray:
        """How much nearer to the goals all came from tokens to tokens, both (b, 64), as shares of the way."""
        was, left = (self._planner.distance(tokens, self._goal, self._scale) for tokens in (before, after))
        return (was - left).numpy()

    @torch.inference_mode()
    def _adherence(self, tokens: Tensor) -> np.ndarray:
        assert self._plan is not None
        distance, plan = self._planner.distance, self._plan
        missed = distance.missed(self._model.dynamics, self._context, plan.latent, plan.future, tokens)
        went = distance.parts(tokens, self._context[:, -1]).mean(dim=0)
        self._step = went if self._step is None else torch.lerp(went, self._step, AVERAGING)
        return (missed / (self._step + LEAST)).mean(dim=-1).neg().clamp(-1.0, 0.0).numpy()
