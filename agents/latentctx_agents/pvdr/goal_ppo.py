"""A baseline that plans nothing: PPO that sees the tokens of frames and goal, for the same reward of coming nearer."""

from collections.abc import Iterator

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv

from latentctx_agents.optim import Metrics
from latentctx_agents.pvdr.alignment import AlignmentPolicy
from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.online import adapt_tokenizer, between_ends, make_agent
from latentctx_agents.pvdr.online_config import OnlineConfig
from latentctx_agents.pvdr.token_venv import SEEN, TokenVecEnv
from latentctx_agents.pvdr.trunks import PlanesTrunk
from latentctx_agents.pvdr.worlds import EVALUATION_SEED, Films, make_envs, measured, random_episodes


class GoalPpo:
    """One training of the baseline; `run` yields measurements as `Online` does.

    A subclass may begin with something that it knows, and learn more of it between PPO's updates.

    Args:
        model: whose tokenizer is adapted to the world and then looked through; its dynamics are not used.
        config: budgets and PPO's settings are those of the whole method.
    """

    def __init__(self, model: VideoModel, config: OnlineConfig) -> None:
        torch.manual_seed(config.seed)
        self._model, self.config = model, config
        self._rng = np.random.default_rng(config.seed)

    def seen(self, venv: VecEnv) -> TokenVecEnv:
        """The worlds as PPO sees them."""
        return TokenVecEnv(venv, self._model.tokenizer)

    def begin(self, venv: VecEnv, films: Films) -> tuple[TokenVecEnv, Metrics]:
        """The worlds as seen, once all is learned that comes before decisions, from random episodes; what to tell of it."""
        return self.seen(venv), {}

    def learn_between(self, env: TokenVecEnv) -> Metrics:
        """What is learned after each rollout; what to tell of it."""
        return {}

    def run(self) -> Iterator[tuple[int, Metrics]]:
        """Train; yield (decisions so far, metrics) before the first, every `evaluate_every` and after the last."""
        config, tokenizer = self.config, self._model.tokenizer
        venv = make_envs(config, config.first_seed)
        films = random_episodes(venv, config.random_episodes, self._rng)
        adapt_tokenizer(tokenizer, films.pictures(), config, self._rng)
        env, told = self.begin(venv, films)

        def between() -> None:
            left = max(0.0, 1.0 - agent.num_timesteps / config.decisions)
            policy().set_spread(between_ends(config.spread, left))
            told.update(self.learn_between(env))

        def policy() -> AlignmentPolicy:
            assert isinstance(agent.policy, AlignmentPolicy)
            return agent.policy

        assert env.observation_space.shape is not None
        size, planes = env.observation_space.shape[0], SEEN * tokenizer.config.code_dim
        outright = size - 64 * planes  # an action that is begun with
        agent = make_agent(
            env,
            config,
            between,
            inputs=size,
            outright=outright,
            trunk=lambda more: PlanesTrunk(planes, outright + more),
        )
        policy().set_spread(config.spread[0])
        before = float(films.actions[..., 0].size)
        yield 0, {**self._evaluate(policy()), **told, "random_decisions": before}
        while agent.num_timesteps < config.decisions:
            more = min(config.evaluate_every, config.decisions - agent.num_timesteps)
            agent.learn(more, reset_num_timesteps=False)
            yield agent.num_timesteps, {**self._evaluate(policy()), **told}
        venv.close()

    def _evaluate(self, policy: AlignmentPolicy) -> Metrics:
        env = self.seen(make_envs(self.config, EVALUATION_SEED))
        return measured(env, policy, self.config.episodes)
