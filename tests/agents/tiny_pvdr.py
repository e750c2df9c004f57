"""Tiny video models and online runs for tests."""

import numpy as np
import torch

from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.pvdr.action_metric import MetricConfig
from latentctx_agents.pvdr.latent_actions import LatentActionConfig
from latentctx_agents.pvdr.online_config import OnlineConfig
from latentctx_envs.encoders.dynamics.config import DynamicsConfig, TokenizerConfig

TINY = DynamicsConfig(
    tokenizer=TokenizerConfig(codes=32, code_dim=4, hidden=16, residuals=1, decoder=(8, 4)),
    future=3, width=16, heads=2, posterior_blocks=1, prior_blocks=1, decoder_blocks=1, latent=4,
)  # fmt: skip
FEW = OptimizerConfig(steps=12, batch_size=8, learning_rate=2e-3, weight_decay=0.0, log_every=4)
SHORT = OnlineConfig(
    envs=1, decisions=8, rollout=4, random_episodes=1, plans=3, tokenizer_steps=2, first_steps=(2, 2),
    steps=(1, 1), batch_size=(4, 8), evaluate_every=8, episodes=1,
    metric=MetricConfig(first_steps=2, steps=1, batch_size=8),
    latent_actions=LatentActionConfig(codes=FEW, policy=FEW, first_steps=2, steps=1),
)  # fmt: skip


def draw_tokens(*shape):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 32, shape))
