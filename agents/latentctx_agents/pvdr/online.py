"""The online stage: a world without rewards, a goal as a picture, a video model that is adapted and planned with."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from latentctx_agents.optim import Metrics, OptimizerConfig, Stepper, Training
from latentctx_agents.pvdr.action_metric import ActionMetric, MetricLearner
from latentctx_agents.pvdr.agent import AgentConfig, GoalAgent
from latentctx_agents.pvdr.alignment import AlignedPPO, AlignmentPolicy, alignment_loss
from latentctx_agents.pvdr.distance import TokenDistance, colours_of, distance_of
from latentctx_agents.pvdr.evidence import evidence_loss
from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.online_config import OnlineConfig
from latentctx_agents.pvdr.planning import Planner
from latentctx_agents.pvdr.planning_env import PlanningVecEnv
from latentctx_agents.pvdr.reading import Reading, reading_of
from latentctx_agents.pvdr.replay import Replay
from latentctx_agents.pvdr.tokenizer import Tokenizer
from latentctx_agents.pvdr.tokens import tokenize
from latentctx_agents.pvdr.trunks import MakeTrunk
from latentctx_agents.pvdr.worlds import EVALUATION_SEED, make_envs, measured, random_episodes, remember

ENCODED = 256  # windows at once


class Online:
    """One adaptation; `run` yields measurements.

    Args:
        model: pretrained, or as it was made; it is changed.
        config: how.
    """

    def __init__(self, model: VideoModel, config: OnlineConfig) -> None:
        if model.config.latent == 0:
            raise ValueError("a model without a latent cannot be planned with: pretrain one with latent > 0.")
        torch.manual_seed(config.seed)
        self.model, self.config = model, config
        self._rng = np.random.default_rng(config.seed)
        self._steps = 0  # of the dynamics, here
        _freeze(model, config.freeze)
        self._dynamics = Stepper(
            [model.dynamics], learning_rate=config.learning_rate[1], weight_decay=0.01, clip=1.0
        )
        self._venv = make_envs(config, config.first_seed)

    def run(self) -> Iterator[tuple[int, Metrics]]:
        """Adapt; yield (decisions so far, metrics) before the first, every `evaluate_every` and after the last."""
        config = self.config
        films = random_episodes(self._venv, config.random_episodes, self._rng)
        adapt_tokenizer(self.model.tokenizer, films.pictures(), config, self._rng)
        metric = ActionMetric(self.model.tokenizer, films.actions.shape[-1])
        self._metric = MetricLearner(metric, config.metric, self._rng)
        self._reading = reading_of(self.model, config.reads, metric)
        self._colours = colours_of(self.model.tokenizer, films.pictures(every=4))
        colours = TokenDistance(self.model.tokenizer, self._colours)
        self._distance = distance_of(config.near, colours, self._metric.metric)
        planner = Planner(
            self.model.dynamics, self._distance, count=config.plans, rng=self._rng, random=config.astray
        )
        env = PlanningVecEnv(self._venv, self.model, planner, self._reading, config.rewards)
        remember(env.replay, tokenize(self.model.tokenizer, films.frames), films.actions)
        agent = self._agent(env)
        told = self._metric.learn(env.replay, config.metric.first_steps)
        first = told | self._learn(env.replay, *config.first_steps, weight=config.supervision[0])
        before = float(films.actions[..., 0].size)
        yield 0, {**self._evaluate(), **first, "random_decisions": before}
        done = 0
        while done < config.decisions:
            agent.learn(min(config.evaluate_every, config.decisions - done), reset_num_timesteps=False)
            done = agent.num_timesteps  # whole rollouts
            yield done, {**self._evaluate(), **self._sums}
        self._venv.close()

    def _agent(self, env: PlanningVecEnv) -> AlignedPPO:
        config = self.config
        self._sums: Metrics = {}

        def between() -> None:
            left = max(0.0, 1.0 - agent.num_timesteps / config.decisions)
            self._policy.set_spread(between_ends(config.spread, left))
            weight = between_ends(config.supervision, left)
            told = self._metric.learn(env.replay, config.metric.steps)
            self._sums = told | self._learn(env.replay, *config.steps, weight=weight)

        reading = self._reading
        agent = make_agent(
            env, config, between, inputs=reading.size, outright=reading.outright, trunk=reading.trunk
        )
        assert isinstance(agent.policy, AlignmentPolicy)
        self._policy = agent.policy
        self._policy.set_spread(config.spread[0])
        self._supervision = Stepper(
            [self._policy.mlp_extractor, self._policy.action_net], learning_rate=config.learning_rate[2]
        )
        return agent

    def _learn(self, replay: Replay, dynamics: int, supervised: int, *, weight: float) -> Metrics:
        """Steps of the video model, then of supervision; the means of what they log."""
        sums: dict[str, list[float]] = {}
        model, config = self.model.dynamics, self.config
        model.train()
        for _ in range(dynamics):
            window, _ = replay.sample(self._rng, config.batch_size[0])
            noise = torch.randn(len(window), self.model.config.latent)
            beta = config.evidence.beta_at(self._steps)
            loss, metrics = evidence_loss(model, window, noise, beta, config.evidence)
            self._dynamics.step(loss)
            self._steps += 1
            for name, value in metrics.items():
                sums.setdefault(name, []).append(value)
        model.eval()
        if supervised and not self._reading.outright:  # what is an action already was taught by actions
            sums["alignment"] = self._align(replay, supervised, weight)
        return {name: float(np.mean(values)) for name, values in sums.items()}

    def _align(self, replay: Replay, steps: int, weight: float) -> list[float]:
        """Steps of supervision; the loss of each."""
        count, batch, rate = self.config.pairs, self.config.batch_size[1], self.config.learning_rate[2]
        inputs, actions = encoded(self._reading, replay, self._rng, min(count, steps * batch))
        losses = []
        self._policy.train()
        for _ in range(steps):
            rows = torch.from_numpy(self._rng.integers(len(actions), size=batch))
            loss = alignment_loss(self._policy, inputs[rows], actions[rows])
            # not as the loss's own weight, which Adam divides out
            self._supervision.step(loss, learning_rate=weight * rate)
            losses.append(loss.item())
        self._policy.eval()
        return losses

    def agent(self) -> GoalAgent:
        """What acts now, a copy; of a run that has begun."""
        space = self._venv.action_space
        assert isinstance(space, spaces.Box)
        config = AgentConfig(
            model=self.model.config,
            near=self.config.near,
            reads=self.config.reads,
            plans=self.config.plans,
            low=tuple(space.low),
            high=tuple(space.high),
            task=self.config.task,
            stride=self.config.stride,
            render_profile=self.config.render_profile,
        )
        agent = GoalAgent(config)
        agent.model.load_state_dict(self.model.state_dict())
        agent.metric.load_state_dict(self._metric.metric.state_dict())
        agent.policy.load_state_dict(self._policy.state_dict())
        agent.colours.copy_(self._colours)
        return agent.eval()

    def _evaluate(self) -> Metrics:
        """Success over fresh goals, and the share of the distance that is left at the end."""
        config = self.config
        rng = np.random.default_rng(EVALUATION_SEED + config.seed)
        planner = Planner(self.model.dynamics, self._distance, count=config.plans, rng=rng)
        venv = make_envs(config, EVALUATION_SEED)
        env = PlanningVecEnv(venv, self.model, planner, self._reading, config.rewards)
        return measured(env, self._policy, config.episodes)


@torch.no_grad()
def encoded(reading: Reading, replay: Replay, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
    """What is read of `count` windows of a replay, (count, r), and the actions (count, a) after their contexts.

    The model stands still while the module learns, so that each window is encoded once.
    """
    sizes = [min(ENCODED, count - start) for start in range(0, count, ENCODED)]
    drawn = [replay.sample(rng, size) for size in sizes]
    return torch.cat([reading.of_window(window) for window, _ in drawn]), torch.cat([a for _, a in drawn])


def adapt_tokenizer(
    tokenizer: Tokenizer, frames: np.ndarray, config: OnlineConfig, rng: np.random.Generator
) -> None:
    """Train a tokenizer on frames uint8 (f, 64, 64, 3) of the world; then it stays as it is."""
    if config.tokenizer_steps == 0:
        return
    background = torch.from_numpy(np.median(frames[::4], axis=0))
    optimizer = OptimizerConfig(
        steps=config.tokenizer_steps,
        batch_size=32,
        learning_rate=config.learning_rate[0],
        weight_decay=0.0,
        clip=1.0,
    )

    def loss() -> Any:
        batch = torch.from_numpy(frames[rng.integers(len(frames), size=optimizer.batch_size)])
        return tokenizer.loss(batch, background)

    for _ in Training([tokenizer], optimizer, rng).run(loss):
        pass


def make_agent(
    env: VecEnv,
    config: OnlineConfig,
    between: Callable[[], None],
    *,
    inputs: int,
    trunk: MakeTrunk,
    outright: int = 0,
) -> AlignedPPO:
    """PPO with the settings that all arms share.

    Its actor sees the first `inputs` numbers of an observation, and acts as the last `outright` of these say at first; `trunk`
    makes the networks of actor and critic.
    """
    return AlignedPPO(
        AlignmentPolicy,
        env,
        between=between,
        reinforce=config.reinforce,
        n_steps=config.rollout,
        batch_size=config.rollout,
        n_epochs=4,
        learning_rate=3e-4,
        gamma=0.98,
        gae_lambda=0.95,
        ent_coef=0.0,  # the spread is set
        policy_kwargs={"actor_inputs": inputs, "outright": outright, "trunk": trunk},
        seed=config.first_seed,  # Stable-Baselines3 seeds the worlds with it, too
        device="cpu",
    )


def between_ends(ends: tuple[float, float], left: float) -> float:
    """From the first number to the second as what is left goes from 1 to 0."""
    return ends[1] + left * (ends[0] - ends[1])


def _freeze(model: VideoModel, what: str) -> None:
    """Which parameters of the posterior keep their pretrained values."""
    posterior = model.dynamics.posterior
    assert posterior is not None
    posterior.requires_grad_(what == "none")
    if what == "last_layer":
        posterior.head.last.requires_grad_(True)
