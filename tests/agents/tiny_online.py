"""Tiny worlds of online imitation for tests: a model, a config, episodes in memory."""

import dataclasses

import numpy as np
import torch

from latentctx_agents.aime.imitate import ImitationConfig
from latentctx_agents.aime_online.config import OnlineConfig
from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.world_models.model import WorldModel
from latentctx_envs.encoders.latent.config import QUICK as QUICK_MODEL
from latentctx_envs.encoders.latent.sensors import Sensors

SHOWN, OLD = "latentctx/walker/walk-expert-v0", "latentctx/walker/mix-v0"
NET = dataclasses.replace(QUICK_MODEL, deter=8, stoch=3, hidden=(8, 8))
FEW = OptimizerConfig(
    steps=2, batch_size=4, learning_rate=1e-3, weight_decay=0.0, schedule="constant", clip=100.0, log_every=1
)
TINY = OnlineConfig(
    imitation=ImitationConfig(dataset=SHOWN, demos=3, hidden=(8, 8), length=5, optimizer=FEW),
    rounds=3, episodes=2, updates=2, discriminator_hidden=(8, 8), starts=6, horizon=4, evaluate_every=2,
    evaluation_episodes=2,
)  # fmt: skip


class Stored:
    """Episodes of one length in memory, as a `StateStore` shows them; `rewards` are no numbers."""

    def __init__(self, dataset_id, *, episodes=4, length=8, actions=6, at=0.0):
        rng = np.random.default_rng(len(dataset_id))
        rows = episodes * (length + 1)
        self.dataset_id = dataset_id
        self.observations = (at + rng.normal(size=(rows, 24))).astype(np.float32)
        self.actions = rng.uniform(-1, 1, (rows, actions)).astype(np.float32)
        self.rewards = np.full(rows, np.nan, np.float32)
        self.lengths = np.full(episodes, length)
        self.starts = np.arange(episodes) * (length + 1)

    def __len__(self):
        return len(self.starts)


def a_model(observed="position", actions=6, family="walker"):
    torch.manual_seed(0)
    return WorldModel(NET, Sensors.of(family, observed), actions)
