"""The online stage: a world without rewards, a goal as a picture, a video model that is adapted and planned with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from torch import Tensor

from latentctx_agents.optim import Metrics, OptimizerConfig, Stepper, Training
from latentctx_agents.pvdr.alignment import AlignedPPO, AlignmentPolicy, alignment_loss
from latentctx_agents.pvdr.distance import TokenDistance
from latentctx_agents.pvdr.evidence import EvidenceConfig, evidence_loss
from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.goal_venv import GoalVecEnv
from latentctx_agents.pvdr.planning import Planner
from latentctx_agents.pvdr.planning_env import PlanningVecEnv, RewardConfig
from latentctx_agents.pvdr.reading import Reading, Reads, reading_of
from latentctx_agents.pvdr.replay import Replay
from latentctx_agents.pvdr.tokenizer import Tokenizer
from latentctx_agents.pvdr.tokens import tokenize
from latentctx_datasets.videos.play import wander
from latentctx_envs.ogbench.context import TASKS
from latentctx_envs.rendering import RenderProfile

WORLD, OGBENCH = "LatentCtx-MetaWorldGoal-v0", "LatentCtx-OGBench-v0"
EVALUATION_SEED = 80_000  # of the first environment
ENCODED = 256  # windows at once


@dataclass(frozen=True, kw_only=True)
class OnlineConfig:
    """How a video model is adapted to a world and aligned with its actions.

    Raises:
        ValueError: a number is out of range.
    """

    task: str = "reach-v3"  # of LatentCtx-MetaWorldGoal-v0, or such as "visual-scene" of LatentCtx-OGBench-v0
    render_profile: RenderProfile = (
        "turbo"  # of frames and goals; a model that saw the world's videos wants theirs
    )
    envs: int = 4  # side by side
    decisions: int = 6000  # in all environments together, after the random ones
    rollout: int = 150  # decisions of each environment between two updates
    random_episodes: int = 10  # with random actions, before everything
    plans: int = 16  # latents that are drawn for each decision; 1 acts on whatever the prior draws
    astray: float = 0.1  # share of decisions in training that keep a random latent
    spread: tuple[float, float] = (0.3, 0.1)  # of actions in training, at first and at last
    reads: Reads = "plan"  # what the alignment module sees: the frames that a plan leads from and to, or z
    freeze: Literal["last_layer", "none", "all"] = "last_layer"  # what of the posterior stays as pretrained
    reinforce: bool = True  # align by reinforcement as well, not by supervision alone
    rewards: RewardConfig = field(default_factory=RewardConfig)
    evidence: EvidenceConfig = field(default_factory=lambda: EvidenceConfig(warm_up=(0, 0)))
    tokenizer_steps: int = 600  # on the frames of the random episodes; then it stays as it is
    first_steps: tuple[int, int] = (300, 2000)  # of dynamics and of supervision, after the random episodes
    steps: tuple[int, int] = (50, 400)  # of both, after each rollout
    pairs: int = (
        4096  # latents and actions, drawn from all that was done, that supervision sees between two rollouts
    )
    batch_size: tuple[int, int] = (32, 256)  # windows of a step of either
    learning_rate: tuple[float, float, float] = (5e-4, 2e-4, 1e-3)  # of tokenizer, dynamics and supervision
    supervision: tuple[float, float] = (1.0, 0.1)  # its weight at first and at last
    evaluate_every: int = 1200  # decisions, in whole rollouts of all environments
    episodes: int = 20  # of each evaluation, without random choices of actions
    seed: int = 0

    def __post_init__(self) -> None:
        """Accept JSON's lists and refuse what cannot be run in words."""
        for name in ("spread", "first_steps", "steps", "batch_size", "learning_rate", "supervision"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        counts = (
            "envs",
            "decisions",
            "rollout",
            "random_episodes",
            "plans",
            "pairs",
            "evaluate_every",
            "episodes",
        )
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} starts at 1; got {getattr(self, name)}.")
        if min(self.spread) <= 0.0:
            raise ValueError(f"spread must be above 0; got {self.spread}.")


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
        _freeze(model, config.freeze)
        self._dynamics = Stepper(
            [model.dynamics], learning_rate=config.learning_rate[1], weight_decay=0.01, clip=1.0
        )
        self._venv = make_envs(config, config.seed)

    def run(self) -> Iterator[tuple[int, Metrics]]:
        """Adapt; yield (decisions so far, metrics) before the first, every `evaluate_every` and after the last."""
        config = self.config
        frames, actions = random_episodes(self._venv, config, self._rng)
        adapt_tokenizer(self.model.tokenizer, frames.reshape(-1, *frames.shape[-3:]), config, self._rng)
        self._reading = reading_of(self.model, config.reads)
        distance = TokenDistance(self.model.tokenizer, frames[:, ::4].reshape(-1, *frames.shape[-3:]))
        planner = Planner(
            self.model.dynamics, distance, count=config.plans, rng=self._rng, random=config.astray
        )
        env = PlanningVecEnv(self._venv, self.model, planner, self._reading, config.rewards)
        remember(env.replay, tokenize(self.model.tokenizer, frames), actions)
        agent = self._agent(env)
        first = self._learn(env.replay, *config.first_steps, weight=config.supervision[0])
        before = frames.shape[0] * (frames.shape[1] - 1)
        yield 0, {**self._evaluate(distance), **first, "random_decisions": float(before)}
        done = 0
        while done < config.decisions:
            agent.learn(min(config.evaluate_every, config.decisions - done), reset_num_timesteps=False)
            done = agent.num_timesteps  # whole rollouts
            yield done, {**self._evaluate(distance), **self._sums}
        self._venv.close()

    def _agent(self, env: PlanningVecEnv) -> AlignedPPO:
        config = self.config
        self._sums: Metrics = {}

        def between() -> None:
            left = max(0.0, 1.0 - agent.num_timesteps / config.decisions)
            self._policy.set_spread(between_ends(config.spread, left))
            weight = between_ends(config.supervision, left)
            self._sums = self._learn(env.replay, *config.steps, weight=weight)

        agent = make_agent(env, config, between, inputs=self._reading.size, planes=self._reading.planes)
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
            loss, metrics = evidence_loss(model, window, noise, config.evidence.beta, config.evidence)
            self._dynamics.step(loss)
            for name, value in metrics.items():
                sums.setdefault(name, []).append(value)
        model.eval()
        if supervised:
            sums["alignment"] = self._align(replay, supervised, weight)
        return {name: float(np.mean(values)) for name, values in sums.items()}

    def _align(self, replay: Replay, steps: int, weight: float) -> list[float]:
        """Steps of supervision; the loss of each."""
        count, batch = self.config.pairs, self.config.batch_size[1]
        inputs, actions = encoded(self._reading, replay, self._rng, min(count, steps * batch))
        losses = []
        self._policy.train()
        for _ in range(steps):
            rows = torch.from_numpy(self._rng.integers(len(actions), size=batch))
            loss = alignment_loss(self._policy, inputs[rows], actions[rows])
            self._supervision.step(weight * loss)
            losses.append(loss.item())
        self._policy.eval()
        return losses

    def _evaluate(self, distance: TokenDistance) -> Metrics:
        """Success over fresh goals, and the share of the distance that is left at the end."""
        config = self.config
        rng = np.random.default_rng(EVALUATION_SEED + config.seed)
        planner = Planner(self.model.dynamics, distance, count=config.plans, rng=rng)
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


def measured(env: GoalVecEnv, policy: ActorCriticPolicy, episodes: int) -> Metrics:
    """Success of a policy's mean actions, and the share of the distance that is left; the environments are closed."""
    observations = env.reset()
    success, gained, finished = np.zeros(env.num_envs, bool), np.zeros(env.num_envs), []
    while len(finished) < episodes:
        actions, _ = policy.predict(observations, deterministic=True)
        observations, _, dones, infos = env.step(actions)
        assert isinstance(observations, np.ndarray)
        success |= [bool(info["success"]) for info in infos]
        gained += [info["reward_goal"] for info in infos]
        for row in np.flatnonzero(dones):
            finished.append((success[row], 1.0 - gained[row]))
            success[row], gained[row] = False, 0.0
    env.close()
    chosen = finished[:episodes]
    return {
        "success": float(np.mean([won for won, _ in chosen])),
        "distance_left": float(np.mean([left for _, left in chosen])),
    }


def world_of(task: str) -> str:
    """Id of the world that has a task: OGBench's are named "visual-...", all others are Meta-World's."""
    return OGBENCH if task in TASKS else WORLD


def make_envs(config: OnlineConfig, seed: int) -> DummyVecEnv:
    """The worlds, with frames and pictures of goals."""
    world = world_of(config.task)
    shown: dict[str, Any] = {"task": config.task, "render_profile": config.render_profile}
    if world == WORLD:
        shown |= {"observation": "pixels", "goal": "pixels"}
    venv = DummyVecEnv([lambda: gym.make(world, **shown) for _ in range(config.envs)])
    venv.seed(seed)
    return venv


def random_episodes(
    venv: VecEnv, config: OnlineConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Frames uint8 (e, t + 1, 64, 64, 3) and actions float32 (e, t, a) of episodes with correlated random actions."""
    frames: list[np.ndarray] = []
    done: list[np.ndarray] = []
    shape = (venv.num_envs, *(venv.action_space.shape or ()))
    while len(frames) < config.random_episodes:
        seen = venv.reset()
        assert isinstance(seen, dict)
        film, moves, action = [seen["observation"]], [], np.zeros(shape, np.float32)
        ended = np.zeros(venv.num_envs, bool)
        while not ended.any():
            action = wander(action, rng)
            seen, _, ended, infos = venv.step(action)
            assert isinstance(seen, dict)
            last = [
                info["terminal_observation"]["observation"] if end else frame
                for info, end, frame in zip(infos, ended, seen["observation"], strict=True)
            ]
            film.append(np.stack(last))
            moves.append(action)
        frames += list(np.stack(film, axis=1))
        done += list(np.stack(moves, axis=1))
    return np.stack(frames[: config.random_episodes]), np.stack(done[: config.random_episodes])


def remember(replay: Replay, tokens: np.ndarray, actions: np.ndarray) -> None:
    """Put episodes of tokens (e, t + 1, 64) and actions (e, t, a) into a replay, before it follows environments."""
    for film, moves in zip(tokens, actions, strict=True):
        replay.begin(0, film[0])
        for action, frame in zip(moves, film[1:], strict=True):
            replay.add(0, action, frame)


def make_agent(
    env: VecEnv, config: OnlineConfig, between: Callable[[], None], *, inputs: int, planes: int
) -> AlignedPPO:
    """PPO with the settings that all arms share.

    Its actor sees the first `inputs` numbers of an observation, `planes` of 8 x 8 tokens if that is not 0.
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
        policy_kwargs={"actor_inputs": inputs, "planes": planes},
        seed=config.seed,
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
