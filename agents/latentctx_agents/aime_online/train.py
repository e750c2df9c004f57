"""The loop: act, learn from all that was done beside old data, look at the returns; a killed run continues.

The world's reward is kept with the episodes and logged. Nothing learns from it.
"""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch

from latentctx_agents.aime.acting import LatentPolicy
from latentctx_agents.aime.agent import AgentCard, AimeAgent, load_agent, save_agent
from latentctx_agents.aime.imitate import (
    AGENT,
    imitate,
    open_body,
    open_demonstrations,
    task_of,
)
from latentctx_agents.aime.policy import TanhPolicy
from latentctx_agents.aime_online.agent import OnlineAime, Own, own_batch
from latentctx_agents.aime_online.config import OnlineConfig
from latentctx_agents.dreamer.buffer import EpisodeBuffer
from latentctx_agents.dreamer.train import SEEDS_APART, collect
from latentctx_agents.model_folder import weights_hash
from latentctx_agents.optim import (
    Metrics,
    OnStep,
    mean_metrics,
    run_rounds,
    unheard,
)
from latentctx_agents.origins import data_origin
from latentctx_agents.runs import RunFolder, read_metrics, training_record
from latentctx_agents.world_models.folder import load_world_model, save_world_model
from latentctx_agents.world_models.model import Observations, WorldModel, as_encoder
from latentctx_agents.world_models.windows import Windows, windows_of
from latentctx_datasets import StateStore
from latentctx_envs.encoders.devices import check_device
from latentctx_envs.encoders.latent.sensors import PIXELS

COLLECTION_SEED = 6_000_000  # of the first episode; no dataset's episodes have these seeds
OFFLINE = "offline"  # run folder of the imitation that comes before


class Given(NamedTuple):
    """What a run starts from, checked."""

    model: WorldModel
    policy: TanhPolicy | None  # None: it is to be imitated first
    origin: dict[str, str]  # hashes
    shown: StateStore
    old: StateStore | None


def fine_tune(
    config: OnlineConfig,
    directory: Path,
    *,
    world_model: Path | None = None,
    agent: Path | None = None,
    device: str = "cpu",
    on_round: OnStep = unheard,
) -> OnlineAime:
    """Let a world model and a policy learn on in their world; a killed run continues from its last round.

    The folder holds every episode (`episodes/`) and at last `agent/`, and of it alone `model/` and `encoder/`.

    Args:
        config: how.
        directory: run folder.
        world_model: directory of a world model, by which it imitates first, into `offline/`; it is not changed.
        agent: directory of what imitated already, instead.
        device: torch device.
        on_round: called with (rounds so far, metrics).

    Raises:
        ValueError: what is given and the data do not belong together, or the folder is of another run.
        DatasetError: a dataset is missing or damaged, or holds numbers that are none.
    """
    check_device(device)
    given = open_all(config, world_model, agent)
    origin = {**given.origin, **data_origin(config.imitation.dataset)}
    if given.old is not None:
        origin |= data_origin(given.old.dataset_id, "experience")
    RunFolder(directory, config, origin)
    first = given.policy
    if first is None:
        assert world_model is not None
        offline = dataclasses.replace(config.imitation, seed=config.seed)
        first = imitate(offline, world_model, directory / OFFLINE, device=device).policy
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    learner = OnlineAime(config, given.model, first, device=device)
    learner.measure(sample_of(given, config))
    buffer = EpisodeBuffer(directory / "episodes")
    card = AgentCard.of(config.imitation.dataset, given.model)
    states = {**card.env_kwargs, "observation": "state"}  # what the buffer keeps; models look at their part
    env = gym.make_vec(card.env_id, num_envs=config.episodes, **states)

    def play(start: int) -> Iterator[tuple[int, Metrics]]:
        buffer.keep(start)
        return _rounds(learner, buffer, env, _batches(given, buffer, config, rng, device))

    try:
        for done, metrics in run_rounds(learner.steppers, directory, rng, play):
            on_round(done, metrics)
    finally:
        env.close()
    _finish(learner, directory, given)
    return learner


def open_all(config: OnlineConfig, world_model: Path | None, agent: Path | None) -> Given:
    """What a run starts from, or a refusal before anything is trained.

    Raises:
        ValueError: see `fine_tune`.
        DatasetError: see `fine_tune`.
    """
    model, policy, record, origin = open_start(world_model, agent)
    if model.sensors.observed == PIXELS:
        raise ValueError(
            "online learning keeps states, not frames; this world model sees pixels: train one on state or position."
        )
    imitation = config.imitation
    shown = open_demonstrations(imitation, model)
    task_of(imitation.dataset)
    old = None
    if config.old_windows:
        name = config.experience or record.get("dataset")
        if name is None:
            raise ValueError(
                f"{world_model or agent} does not say what its world model learned from: name it as experience."
            )
        old = open_body(name, model)
    return Given(model, policy, origin, shown, old)


def open_start(
    world_model: Path | None, agent: Path | None
) -> tuple[WorldModel, TanhPolicy | None, dict[str, Any], dict[str, str]]:
    """World model, policy, the record of the world model's training, and hashes.

    Raises:
        ValueError: not one of the two is given, or files are missing or damaged.
    """
    if agent is None:
        if world_model is None:
            raise ValueError("name a world model, or an agent that imitated by one.")
        model, record = load_world_model(world_model)
        return model, None, record, {"world model": weights_hash(world_model)}
    if world_model is not None:
        raise ValueError("an agent has its own world model: name one of the two.")
    start, training = load_agent(agent)
    return start.model, start.policy, training.get("world_model", {}), {"agent": weights_hash(agent)}


def sample_of(given: Given, config: OnlineConfig, count: int = 2000) -> Observations:
    """Observations (1, n, d) of demonstrations and, as many, of old data, evenly over each, for the discriminator."""
    shown = given.shown
    last = int(shown.starts[config.imitation.demos - 1] + shown.lengths[config.imitation.demos - 1]) + 1
    parts = [np.asarray(shown.observations)[:last]]
    if given.old is not None:
        parts.append(np.asarray(given.old.observations))
    rows = [part[np.linspace(0, len(part) - 1, count).astype(int)] for part in parts]
    return Observations(torch.from_numpy(np.concatenate(rows))[None])


def _batches(
    given: Given, buffer: EpisodeBuffer, config: OnlineConfig, rng: np.random.Generator, device: str
) -> Callable[[], tuple[Own, Windows]]:
    """A function that draws the next batch of the body's windows and of demonstrations."""
    imitation = config.imitation
    observed = given.model.sensors.observed
    size, length, early = imitation.optimizer.batch_size, imitation.length, imitation.early
    shared: dict[str, Any] = {"length": length, "observed": observed, "early": early, "device": device}
    shown = windows_of(given.shown, rng, batch_size=size, episodes=np.arange(imitation.demos), **shared)
    old = None
    if given.old is not None:
        old = windows_of(given.old, rng, batch_size=config.old_windows, **shared)

    def draw() -> tuple[Own, Windows]:
        fresh = buffer.sample(rng, size - config.old_windows, length, device, early=early)
        new = Own(fresh.observations, fresh.previous_actions)
        return own_batch(new, None if old is None else old()), shown()

    return draw


def _rounds(
    agent: OnlineAime,
    buffer: EpisodeBuffer,
    env: gym.vector.VectorEnv[Any, Any, Any],
    draw: Callable[[], tuple[Own, Windows]],
) -> Iterator[tuple[int, Metrics]]:
    config = agent.config
    first_seed = COLLECTION_SEED + SEEDS_APART * config.seed
    while buffer.rounds < config.rounds:
        index = buffer.rounds
        acting = LatentPolicy(
            agent.model, agent.policy, sample_action=True, seed=config.seed * 100_003 + index
        )
        episodes = collect(env, acting, first_seed + index * config.episodes)
        buffer.add(episodes)
        agent.model.train()
        agent.policy.train()
        means = mean_metrics(agent.update(*draw()) for _ in range(config.updates))
        done = buffer.rounds
        evaluated = float("nan")  # rows have the same columns
        if done % config.evaluate_every == 0 or done == config.rounds:
            found = learned_of(agent).returns(config.evaluation_episodes, draws=config.seed)
            evaluated = float(found.mean())
        yield done, {"return": float(episodes.rewards.sum(axis=0).mean()), "evaluation": evaluated, **means}


def learned_of(learner: OnlineAime) -> AimeAgent:
    """What has been learned so far, as an agent that acts."""
    card = AgentCard.of(learner.config.imitation.dataset, learner.model)
    return AimeAgent(learner.model, learner.policy, card)


def _finish(learner: OnlineAime, directory: Path, given: Given) -> None:
    """Write model, filter and agent, unless they are there; the checkpoint stays, so that nothing is done twice."""
    if (directory / AGENT).is_dir():
        return
    config = learner.config
    dataset = config.imitation.dataset if given.old is None else given.old.dataset_id
    record = training_record(
        config,
        read_metrics(directory)[-1]["seconds"],
        objective="aime_online",
        dataset=dataset,
        **{f"{what}_hash": digest for what, digest in data_origin(dataset).items()},
        demonstrations=config.imitation.dataset,
    )
    save_world_model(learner.model, directory / "model", record)
    as_encoder(learner.model).save_pretrained(directory / "encoder", training=record)
    training = {**record, "world_model": record}
    save_agent(learned_of(learner), directory / AGENT, training, world_model=directory / "model")
