"""SAC with hindsight goals (Stable-Baselines3) on a Meta-World task whose goal is a place."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import SAC, HerReplayBuffer
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from latentctx_agents.cells import untrained
from latentctx_agents.policies import SB3Policy
from latentctx_agents.results import Measurement
from latentctx_envs.encoders import Encoder, load_encoder
from latentctx_envs.encoders.dynamics.encoder import DynamicsEncoder
from latentctx_envs.rendering import RenderProfile
from latentctx_envs.rollout import Policy, rollout
from latentctx_envs.wrappers import EncodeObservation

WORLD = "LatentCtx-MetaWorldGoal-v0"
EVALUATION_SEED = 70_000  # first environment seed; training draws from `seed` on


@dataclass(frozen=True, kw_only=True)
class GoalRLConfig:
    """What is learned, from what, for how long.

    Raises:
        ValueError: a number is out of range.
    """

    task: str = "reach-v3"  # one of `latentctx_envs.meta_world.goals.GOAL_RULES`
    # frozen encoder of the frames (a folder or a name of the zoo); None for state observations
    encoder: str | None = None
    pretrained: bool = True  # False: frozen as it began, with fresh weights by the seed
    # of the encoder's frames; None for that of its pretraining, "fast" where its record does not tell
    render_profile: RenderProfile | None = None
    decisions: int = 10_000  # of two control steps each
    evaluate_every: int = 2500  # decisions
    episodes: int = 50  # of each evaluation, with the mean action
    learning_starts: int = 1000  # decisions at random before the first gradient step
    learning_rate: float = 1e-3
    batch_size: int = 256
    gamma: float = 0.95
    entropy: float = 0.05  # its weight at the start, then tuned; SB3's 1.0 outweighs sparse rewards for long
    hindsight: int = 4  # goals in hindsight for each real one ("future")
    hidden: tuple[int, int] = (256, 256)  # units of actor and critics
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be learned in words."""
        for name in ("decisions", "evaluate_every", "episodes", "learning_starts", "batch_size", "hindsight"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if self.learning_starts >= self.decisions:
            raise ValueError(
                f"learning_starts ({self.learning_starts}) must lie below decisions ({self.decisions}): nothing would be learned."
            )
        if not 0.0 < self.entropy < float("inf"):
            raise ValueError(f"entropy must be a positive number; got {self.entropy}.")

    @property
    def method(self) -> str:
        """Name of the method in results."""
        if self.encoder is None:
            return "sac-her-state"
        return "sac-her-features" if self.pretrained else "sac-her-untrained"


def encoder_of(config: GoalRLConfig) -> Encoder | None:
    """The frozen encoder, or None where states are seen."""
    if config.encoder is None:
        return None
    encoder = load_encoder(config.encoder)
    if config.pretrained:
        return encoder
    fresh = untrained(encoder, config.seed)
    fresh.training_record = encoder.training_record  # says which frames it would have seen
    return fresh


def make_env(config: GoalRLConfig, encoder: Encoder | None) -> gym.Env[Any, Any]:
    """The task's goal environment, through the encoder if there is one.

    A video model sees the environment's own picture, of which its clips are; other encoders the authors' window.
    """
    if encoder is None:
        return gym.make(WORLD, task=config.task)
    seen: dict[str, Any] = {"observation": "pixels", "image_size": encoder.input_shape[:2]}
    seen["render_profile"] = config.render_profile or encoder.render_profile or "fast"
    if not isinstance(encoder, DynamicsEncoder):
        seen |= {"window": True, "camera_position": None}
    return EncodeObservation(gym.make(WORLD, task=config.task, **seen), encoder)


class SeenAndDesired(BaseFeaturesExtractor):
    """What is observed and the desired goal, not the achieved one: that would tell where the hand is beside the frame.

    Args:
        observation_space: of a goal environment, flat.
    """

    KEYS = ("observation", "desired_goal")

    def __init__(self, observation_space: spaces.Dict) -> None:
        super().__init__(observation_space, sum(spaces.flatdim(observation_space[key]) for key in self.KEYS))

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """(b, features)."""
        return torch.cat([observations[key] for key in self.KEYS], dim=1)


def learn(config: GoalRLConfig) -> Iterator[Measurement]:
    """Train, and yield the success over fresh goals before the first and after every `evaluate_every` decisions."""
    encoder = encoder_of(config)
    env = VecNormalize(DummyVecEnv([lambda: make_env(config, encoder)]), norm_reward=False)
    judged = make_env(config, encoder)
    known = {**asdict(config), "encoder_hash": encoder.content_hash()[:12] if encoder else None}
    model = SAC(
        "MultiInputPolicy",
        env,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": config.hindsight, "goal_selection_strategy": "future"},
        buffer_size=config.decisions,
        learning_starts=config.learning_starts,
        learning_rate=config.learning_rate,
        batch_size=config.batch_size,
        gamma=config.gamma,
        ent_coef=f"auto_{config.entropy}",
        policy_kwargs={"net_arch": list(config.hidden), "features_extractor_class": SeenAndDesired},
        seed=config.seed,
        device="cpu",
    )
    yield from _measured(config, known, model, judged)
    for begun in range(0, config.decisions, config.evaluate_every):
        done = min(begun + config.evaluate_every, config.decisions)
        model.learn(done - begun, reset_num_timesteps=False)
        yield from _measured(config, known, model, judged)
    env.close()
    judged.close()


def _measured(
    config: GoalRLConfig, known: dict[str, Any], model: SAC, env: gym.Env[Any, Any]
) -> Iterator[Measurement]:
    ever, final = evaluate(SB3Policy(model), env, config.episodes)
    for metric, value in (("success", ever), ("final_success", final)):
        yield Measurement(
            study="goal_rl",
            world=WORLD,
            dataset="",
            method=config.method,
            setting={**known, "done": model.num_timesteps},
            seed=config.seed,
            metric=metric,
            value=value,
        )


def evaluate(policy: Policy, env: gym.Env[Any, Any], episodes: int) -> tuple[float, float]:
    """Shares of episodes that succeed at any step, and at the last one.

    Args:
        policy: who acts.
        env: a single environment.
        episodes: how many, seeded `EVALUATION_SEED` and on.
    """
    ever, final = np.zeros(episodes, bool), np.zeros(episodes, bool)
    for number in range(episodes):
        for step in rollout(env, policy, [{"seed": EVALUATION_SEED + number}]):
            final[number] = step.next_info["success"]
            ever[number] |= final[number]
    return float(ever.mean()), float(final.mean())
