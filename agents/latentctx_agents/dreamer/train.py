"""Dreamer's loop: collect episodes with the policy, learn from all of them, keep snapshots; a killed run continues."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from latentctx_agents.aime.acting import LatentPolicy
from latentctx_agents.aime.agent import AgentCard, AimeAgent, save_agent, view_of
from latentctx_agents.dreamer.agent import Dreamer
from latentctx_agents.dreamer.buffer import EpisodeBuffer, Episodes
from latentctx_agents.dreamer.config import DreamerConfig
from latentctx_agents.optim import (
    Metrics,
    OnStep,
    mean_metrics,
    run_rounds,
    unheard,
)
from latentctx_agents.runs import RunFolder
from latentctx_agents.world_models.model import as_encoder
from latentctx_datasets.demonstrators import make_demonstrator
from latentctx_datasets.demonstrators.locomotion import ENV_IDS
from latentctx_envs.encoders.devices import check_device
from latentctx_envs.locomotion.protocol import ENV_KWARGS
from latentctx_envs.rollout import rollout

SNAPSHOTS, EPISODES = "snapshots", "episodes"  # folders of a run folder
COLLECTION_SEED = 3_000_000  # of the first episode; no dataset's episodes have these seeds
SEEDS_APART = 10_000  # between the first episodes of neighbouring seeds


def train(
    config: DreamerConfig, directory: Path, *, device: str = "cpu", on_round: OnStep = unheard
) -> Dreamer:
    """Train an agent into a run folder and return it; a killed run continues from its last round.

    The folder holds every episode (`episodes/`) and the snapshots (`snapshots/`): a filter and an agent each.

    Args:
        config: the agent.
        directory: run folder.
        device: torch device.
        on_round: called with (rounds so far, metrics).

    Raises:
        ValueError: the folder belongs to another training or another process trains in it, or its checkpoint is damaged.
    """
    check_device(device)
    RunFolder(directory, config)
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    env = gym.make_vec(ENV_IDS[config.task], num_envs=config.episodes, **ENV_KWARGS)
    agent = Dreamer(config, int(np.prod(env.single_action_space.shape or ())), device=device)
    buffer = EpisodeBuffer(directory / EPISODES)

    def play(start: int) -> Iterator[tuple[int, Metrics]]:
        buffer.keep(start)
        return _rounds(agent, buffer, env, directory, rng, device)

    try:
        for done, metrics in run_rounds(agent.steppers, directory, rng, play):
            on_round(done, metrics)
    finally:
        env.close()
    return agent


def _rounds(
    agent: Dreamer,
    buffer: EpisodeBuffer,
    env: gym.vector.VectorEnv[Any, Any, Any],
    directory: Path,
    rng: np.random.Generator,
    device: str,
) -> Iterator[tuple[int, Metrics]]:
    config = agent.config
    while buffer.rounds < config.rounds:
        index = buffer.rounds
        first = first_seed(config) + index * config.episodes
        if index < config.random_rounds:
            policy: Any = make_demonstrator("random")
            policy.begin(env.single_action_space, range(first, first + config.episodes))
        else:
            policy = LatentPolicy(agent.model, agent.policy, seed=config.seed * 100_003 + index)
        episodes = collect(env, policy, first)
        buffer.add(episodes)
        agent.model.train()
        agent.policy.train()
        means = mean_metrics(
            agent.update(buffer.sample(rng, config.batch_size, config.length, device))
            for _ in range(updates_after(index, config))
        )
        done = buffer.rounds
        if done * config.snapshots // config.rounds > index * config.snapshots // config.rounds:
            snapshot(agent, directory / SNAPSHOTS / f"{done:05d}")
        yield done, {"return": float(episodes.rewards.sum(axis=0).mean()), **means}


def first_seed(config: DreamerConfig) -> int:
    """Seed of the first episode; each further one has the next."""
    return COLLECTION_SEED + SEEDS_APART * config.seed


def updates_after(index: int, config: DreamerConfig) -> int:
    """Updates that follow a round, from 0: none before the last random one."""
    if index < config.random_rounds - 1:
        return 0
    return config.first_updates if index == config.random_rounds - 1 else config.updates


def collect(env: gym.vector.VectorEnv[Any, Any, Any], policy: Any, seed: int) -> Episodes:
    """One episode of each environment, from consecutive seeds."""
    observations, actions, rewards = [], [], []
    for step in rollout(env, policy, [{"seed": seed}]):
        if not observations:
            observations.append(np.array(step.observation))
            actions.append(np.zeros_like(step.action))
            rewards.append(np.zeros_like(step.reward))
        observations.append(np.array(step.next_observation))
        actions.append(np.clip(step.action, -1.0, 1.0))
        rewards.append(step.reward)
    return Episodes(*(np.stack(parts).astype(np.float32) for parts in (observations, actions, rewards)))


def snapshot(agent: Dreamer, directory: Path) -> None:
    """Write the filter as an encoder, and what acts."""
    as_encoder(agent.model).save_pretrained(directory / "encoder")
    model = agent.model
    seen = view_of(model.sensors.observed, model.config.image_size)
    card = AgentCard(env_id=ENV_IDS[agent.config.task], env_kwargs={**ENV_KWARGS, **seen})
    save_agent(AimeAgent(model, agent.policy, card), directory / "agent", {})
