"""Phase 2 of AIME: a policy learns to act from demonstrations without actions, by a world model that stays as it is."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentctx_agents.aime.agent import AgentCard, AimeAgent, load_agent, save_agent
from latentctx_agents.aime.inference import OBJECTIVES, Inferred, Objective, imitation_loss, infer_actions
from latentctx_agents.aime.policy import TanhPolicy
from latentctx_agents.checkpoints import forget_checkpoint
from latentctx_agents.model_folder import weights_hash
from latentctx_agents.optim import (
    Metrics,
    OnStep,
    OptimizerConfig,
    Precision,
    Training,
    in_precision,
    run_resumable,
    unheard,
)
from latentctx_agents.origins import data_origin
from latentctx_agents.runs import RunFolder, training_record
from latentctx_agents.world_models.evidence import Evidence, evidence_of
from latentctx_agents.world_models.folder import load_world_model
from latentctx_agents.world_models.model import WorldModel
from latentctx_agents.world_models.windows import Windows, open_episodes, sensors_of, windows_of
from latentctx_datasets import StateStore, library
from latentctx_datasets.demonstrators.locomotion import ENV_IDS
from latentctx_envs.encoders.devices import check_device
from latentctx_envs.encoders.latent.rssm import filter_states

AGENT = "agent"  # folder of what acts, in a run folder


@dataclass(frozen=True, kw_only=True)
class ImitationConfig:
    """What is imitated, by which objective and for how long.

    Raises:
        ValueError: an objective that is none, or a number out of range.
    """

    # demonstrations; their actions are logged against, not learned from
    dataset: str = "latentctx/walker/run-expert-v0"
    demos: int = 100  # the first so many episodes
    objective: Objective = "full"
    hidden: tuple[int, int] = (128, 128)  # of the policy
    length: int = 50  # observations of a window
    early: bool = True  # an episode's first steps are drawn no less than others; False as in the paper
    burn_in: int = 0  # steps of a window, which begins with a state that knows nothing, that do not count
    precision: Precision = "float32"  # of products
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            steps=5000, batch_size=16, learning_rate=1e-3, weight_decay=0.0, schedule="constant", clip=100.0
        )
    )
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be imitated in words."""
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective must be one of {', '.join(OBJECTIVES)}; got {self.objective!r}.")
        if self.demos < 1 or not 0 <= self.burn_in < self.length:
            raise ValueError("demos start at 1, and burn_in leaves a step of the window.")


QUICK = ImitationConfig()
PAPER = ImitationConfig(
    early=False,
    optimizer=OptimizerConfig(
        steps=50_000, batch_size=50, learning_rate=1e-3, weight_decay=0.0, schedule="constant", clip=100.0
    ),
)

PAPER_CHEETAH = dataclasses.replace(PAPER, optimizer=dataclasses.replace(PAPER.optimizer, learning_rate=3e-4))


def imitate(
    config: ImitationConfig,
    world_model: Path,
    directory: Path,
    *,
    device: str = "cpu",
    on_step: OnStep = unheard,
) -> AimeAgent:
    """Train a policy and write it with its world model into `<directory>/agent`; a killed run continues where it was.

    Args:
        config: what to train.
        world_model: directory of the world model.
        directory: run folder.
        device: torch device.
        on_step: called with (step, metrics) at every row of metrics.

    Raises:
        ValueError: the world model is of another body or action size, or the folder belongs to another config or
            world model.
        DatasetError: the dataset is missing or damaged, or holds numbers that are none.
    """
    check_device(device)
    model, learned = load_world_model(world_model)
    store = open_demonstrations(config, model)
    origin = {"world model": weights_hash(world_model), **data_origin(config.dataset)}
    RunFolder(directory, config, origin)
    target = directory / AGENT
    if target.is_dir():
        forget_checkpoint(directory)
        return load_agent(target)[0].to(device)
    began = time.monotonic()
    torch.manual_seed(config.seed)
    policy = TanhPolicy(model.config.features, model.action_dim, config.hidden)
    model.to(device).requires_grad_(False)
    policy.to(device)
    rng = np.random.default_rng(config.seed)
    training = Training([policy], config.optimizer, rng)
    draw = windows_of(
        store,
        rng,
        batch_size=config.optimizer.batch_size,
        length=config.length,
        observed=model.sensors.observed,
        episodes=np.arange(config.demos),
        early=config.early,
        device=device,
    )
    for step, metrics in run_resumable(training, lambda: loss_of(config, model, policy, draw), directory):
        on_step(step, metrics)
    agent = AimeAgent(model, policy, AgentCard.of(config.dataset, model)).eval()
    facts = {"objective": f"aime {config.objective}", "dataset": config.dataset, "world_model": learned}
    hashes = {f"{name.replace(' ', '_')}_hash": digest for name, digest in origin.items()}
    record = training_record(config, time.monotonic() - began, **facts, **hashes)
    save_agent(agent, target, record, world_model=world_model)
    forget_checkpoint(directory)
    return agent


def open_demonstrations(config: ImitationConfig, model: WorldModel) -> StateStore:
    """The demonstrations, checked against the world model before anything is trained.

    Raises:
        ValueError: they are of another body or action size, or fewer than asked for.
    """
    store = open_body(config.dataset, model)
    if len(store) < config.demos:
        raise ValueError(f"{config.dataset} has {len(store)} episodes; demos={config.demos}.")
    return store


def open_body(dataset_id: str, model: WorldModel) -> StateStore:
    """Episodes of a world model's body; bodies of datasets that name no world are told apart by their sizes alone.

    Raises:
        ValueError: they are of another body, or its states or actions have other lengths.
    """
    shown = sensors_of(dataset_id, model.sensors.observed)
    if shown.family != model.sensors.family:
        raise ValueError(
            f"the world model is of the {model.sensors.family}; {dataset_id} shows the {shown.family}."
        )
    if shown.state_dim != model.sensors.state_dim:
        raise ValueError(
            f"the world model takes states of {model.sensors.state_dim} numbers; those of {dataset_id} have {shown.state_dim}."
        )
    store = open_episodes(dataset_id, model.sensors.observed, model.config.image_size)
    if store.actions.shape[-1] != model.action_dim:
        raise ValueError(
            f"the world model takes actions of {model.action_dim} numbers; those of {dataset_id} have "
            f"{store.actions.shape[-1]}."
        )
    return store


class Imitation(NamedTuple):
    """What phase 2 minimises on one batch, and what was computed on the way."""

    loss: Tensor
    inferred: Inferred
    metrics: Metrics  # the bound, and how far the inferred actions are from the true


def terms_of(config: ImitationConfig, model: WorldModel, policy: TanhPolicy, batch: Windows) -> Imitation:
    """The loss of a batch of demonstrations, with numbers to log."""
    shape = batch.previous_actions.shape
    noise, action_noise = model.noise(*shape[:2]), torch.randn(shape, device=batch.previous_actions.device)
    with in_precision(noise.device, config.precision):
        embeddings = model.embed(batch.observations)
        inferred = infer_actions(
            model, policy, embeddings, noise, action_noise, by_idm=config.objective == "idm"
        )
        loss, found = imitation_loss(
            model, inferred, batch.observations, embeddings, config.objective, burn_in=config.burn_in
        )
    known = ~batch.is_first[1:]  # the first action of a window comes from a state that knows nothing
    error = (inferred.actions[1:] - batch.previous_actions[1:]).square().mean(dim=-1)[known].mean()
    metrics = {
        "evidence": -found.loss().item(),
        "elbo": found.nats.sum(dim=0).mean().item(),
        "reconstruction": found.reconstruction.sum(dim=0).mean().item(),
        "divergence": found.divergence.sum(dim=0).mean().item(),
        "action_error": error.item(),
    }
    return Imitation(loss, inferred, metrics)


def loss_of(
    config: ImitationConfig, model: WorldModel, policy: TanhPolicy, draw: Callable[[], Windows]
) -> tuple[Tensor, Metrics]:
    """The loss of the next batch, and numbers to log."""
    found = terms_of(config, model, policy, draw())
    return found.loss, found.metrics


def true_evidence(config: ImitationConfig, model: WorldModel, batches: int = 16) -> Metrics:
    """The bound of the demonstrations under the actions that were taken, which imitation is not told [a window].

    Returns:
        "true_evidence", weighted as in training (`WorldModelConfig.reweight`), and "true_elbo" [nats].

    What the bound under inferred actions rises towards, as far as these can be inferred (the paper's diagnostic).

    Args:
        config: of the imitation.
        model: the world model.
        batches: how many are averaged.
    """
    store = open_demonstrations(config, model)
    rng = np.random.default_rng([config.seed, 1])
    size, observed = config.optimizer.batch_size, model.sensors.observed
    draw = windows_of(
        store,
        rng,
        batch_size=size,
        length=config.length,
        observed=observed,
        episodes=np.arange(config.demos),
        early=config.early,
    )
    found: list[Evidence] = []
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(config.seed)  # the same where it is measured again after an interruption
        for _ in range(batches):
            batch = draw()
            actions = batch.previous_actions
            noise = model.noise(*actions.shape[:2])
            filtered = filter_states(model.rssm, model.embed(batch.observations), actions, noise)
            terms = evidence_of(model, filtered, batch.observations)
            found.append(Evidence(*(term[config.burn_in :] for term in terms)))
    return {
        "true_evidence": float(np.mean([-terms.loss().item() for terms in found])),
        "true_elbo": float(np.mean([terms.nats.sum(dim=0).mean().item() for terms in found])),
    }


def task_of(dataset_id: str) -> str:
    """Name of the demonstrated task, such as "walker-run".

    Raises:
        ValueError: the dataset is not one of locomotion demonstrations.
    """
    task = {env_id: task for task, env_id in ENV_IDS.items()}.get(library.played_in(dataset_id).env_id)
    if task is None:
        raise ValueError(
            f"imitation is measured in the locomotion worlds; {dataset_id} is of none of their tasks."
        )
    return task
