"""A baseline that plans nothing: PPO that sees the tokens of frames and goal, for the same reward of coming nearer."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from latentctx_agents.optim import Metrics
from latentctx_agents.pvdr.alignment import AlignmentPolicy
from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.goal_venv import GoalVecEnv
from latentctx_agents.pvdr.online import adapt_tokenizer, between_ends, make_agent
from latentctx_agents.pvdr.online_config import OnlineConfig
from latentctx_agents.pvdr.tokenizer import Tokenizer
from latentctx_agents.pvdr.tokens import tokens_of
from latentctx_agents.pvdr.trunks import PlanesTrunk
from latentctx_agents.pvdr.worlds import EVALUATION_SEED, make_envs, measured, random_episodes

SEEN = 3  # pictures: the frame before, the frame, the goal


class TokenGoalVecEnv(GoalVecEnv):
    """Observations float32 (3 c * 64): codebook vectors of the last two frames and of the goal, as planes; reward r_goal.

    Args:
        venv: worlds whose observations are a Dict of frames "observation" and "desired_goal".
        tokenizer: whose vectors.
    """

    def __init__(self, venv: VecEnv, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        length = 64 * tokenizer.config.code_dim
        super().__init__(venv, spaces.Box(-np.inf, np.inf, (SEEN * length,), np.float32))
        self._vectors = np.zeros((venv.num_envs, SEEN, length), np.float32)

    def begin(self, rows: np.ndarray, frames: np.ndarray, goals: np.ndarray) -> None:
        """Episodes begin: the frame before the first one is the first one."""
        first = self._of(frames)
        self._vectors[rows] = np.stack([first, first, self._of(goals)], axis=1)

    def move(self, frames: np.ndarray, towards: np.ndarray, infos: list[dict[str, Any]]) -> np.ndarray:
        """All environments moved; the reward is that of coming nearer."""
        self._vectors[:, 0] = self._vectors[:, 1]
        self._vectors[:, 1] = self._of(frames)
        return towards

    def observe(self) -> np.ndarray:
        """The vectors, one after the other."""
        return self._vectors.reshape(self.num_envs, -1).copy()

    def _of(self, frames: np.ndarray) -> np.ndarray:
        tokens = tokens_of(self._tokenizer, frames)
        with torch.inference_mode():
            return self._tokenizer.encoder.vectors(tokens).movedim(-1, 1).flatten(1).numpy()


class GoalPpo:
    """One training of the baseline; `run` yields measurements as `Online` does.

    Args:
        model: whose tokenizer is adapted to the world and then looked through; its dynamics are not used.
        config: budgets and PPO's settings are those of the whole method.
    """

    def __init__(self, model: VideoModel, config: OnlineConfig) -> None:
        torch.manual_seed(config.seed)
        self._tokenizer, self.config = model.tokenizer, config
        self._rng = np.random.default_rng(config.seed)

    def run(self) -> Iterator[tuple[int, Metrics]]:
        """Train; yield (decisions so far, metrics) before the first, every `evaluate_every` and after the last."""
        config = self.config
        venv = make_envs(config, config.first_seed)
        films = random_episodes(venv, config.random_episodes, self._rng)
        adapt_tokenizer(self._tokenizer, films.pictures(), config, self._rng)
        env = TokenGoalVecEnv(venv, self._tokenizer)

        def between() -> None:
            left = max(0.0, 1.0 - agent.num_timesteps / config.decisions)
            policy().set_spread(between_ends(config.spread, left))

        def policy() -> AlignmentPolicy:
            assert isinstance(agent.policy, AlignmentPolicy)
            return agent.policy

        assert env.observation_space.shape is not None
        trunk = partial(PlanesTrunk, SEEN * self._tokenizer.config.code_dim)
        agent = make_agent(env, config, between, inputs=env.observation_space.shape[0], trunk=trunk)
        policy().set_spread(config.spread[0])
        before = float(films.actions[..., 0].size)
        yield 0, {**self._evaluate(policy()), "random_decisions": before}
        while agent.num_timesteps < config.decisions:
            more = min(config.evaluate_every, config.decisions - agent.num_timesteps)
            agent.learn(more, reset_num_timesteps=False)
            yield agent.num_timesteps, self._evaluate(policy())
        venv.close()

    def _evaluate(self, policy: AlignmentPolicy) -> Metrics:
        env = TokenGoalVecEnv(make_envs(self.config, EVALUATION_SEED), self._tokenizer)
        return measured(env, policy, self.config.episodes)
