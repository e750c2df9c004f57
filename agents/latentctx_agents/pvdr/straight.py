"""A baseline that plans nothing: it walks straight along the learned distance, by the way from here to the goal."""

from collections.abc import Iterator

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv

from latentctx_agents.optim import Metrics
from latentctx_agents.pvdr.action_metric import ActionMetric, MetricLearner
from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.online import adapt_tokenizer, between_ends
from latentctx_agents.pvdr.online_config import OnlineConfig
from latentctx_agents.pvdr.token_venv import TokenVecEnv
from latentctx_agents.pvdr.tokens import tokenize
from latentctx_agents.pvdr.worlds import EVALUATION_SEED, make_envs, measured, random_episodes, remember


class WayVecEnv(TokenVecEnv):
    """Observations float32 (a): the sum of actions from here to the goal, as a metric tells it; reward r_goal.

    Args:
        venv: worlds whose observations are a Dict of frames "observation" and "desired_goal".
        model: whose tokenizer.
        metric: in use; what it learns meanwhile counts from then on.
    """

    def __init__(self, venv: VecEnv, model: VideoModel, metric: ActionMetric) -> None:
        self._metric = metric
        super().__init__(venv, model.tokenizer, size=metric.place.out_features)

    def observe(self) -> np.ndarray:
        """The way from here to the goal."""
        with torch.inference_mode():
            here, goal = self._metric(torch.from_numpy(self.seen[:, 1:].astype(np.int64))).unbind(1)
        return (goal - here).numpy()


class AsTheWay:
    """Does what is observed, as far as actions go; as `measured` asks policies."""

    def predict(self, observation: np.ndarray, *, deterministic: bool) -> tuple[np.ndarray, None]:
        """The observation itself."""
        return np.clip(observation, -1.0, 1.0), None


class Straight:
    """One training of the baseline; `run` yields measurements as `Online` does.

    Args:
        model: whose tokenizer is adapted to the world and then looked through; its dynamics are not used.
        config: budgets and the metric's settings are those of the whole method.
    """

    def __init__(self, model: VideoModel, config: OnlineConfig) -> None:
        torch.manual_seed(config.seed)
        self._model, self.config = model, config
        self._rng = np.random.default_rng(config.seed)

    def run(self) -> Iterator[tuple[int, Metrics]]:
        """Train; yield (decisions so far, metrics) before the first, every `evaluate_every` and after the last."""
        config = self.config
        venv = make_envs(config, config.first_seed)
        films = random_episodes(venv, config.random_episodes, self._rng)
        adapt_tokenizer(self._model.tokenizer, films.pictures(), config, self._rng)
        metric = ActionMetric(self._model.tokenizer, films.actions.shape[-1])
        learner = MetricLearner(metric, config.metric, self._rng)
        env = WayVecEnv(venv, self._model, metric)
        remember(env.replay, tokenize(self._model.tokenizer, films.frames), films.actions)
        told = learner.learn(env.replay, config.metric.first_steps)
        before = float(films.actions[..., 0].size)
        yield 0, {**self._evaluate(metric), **told, "random_decisions": before}
        done, since, way = 0, 0, env.reset()
        while done < config.decisions:
            spread = between_ends(config.spread, 1.0 - done / config.decisions)
            for _ in range(config.rollout):
                noise = spread * self._rng.standard_normal(way.shape)
                way, *_ = env.step(np.clip(way, -1.0, 1.0) + noise)
                assert isinstance(way, np.ndarray)
            told = learner.learn(env.replay, config.metric.steps)
            way = env.observe()  # as the metric tells it now
            done, since = done + config.rollout * config.envs, since + config.rollout * config.envs
            if since >= config.evaluate_every or done >= config.decisions:
                since = 0
                yield done, {**self._evaluate(metric), **told}
        venv.close()

    def _evaluate(self, metric: ActionMetric) -> Metrics:
        env = WayVecEnv(make_envs(self.config, EVALUATION_SEED), self._model, metric)
        return measured(env, AsTheWay(), self.config.episodes)
