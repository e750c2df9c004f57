"""What AIME is compared with: cloning inferred or true actions, and inferring them through a model without latents."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from latentctx_agents.aime.regression import Fit, RegressionConfig, fit
from latentctx_agents.aime.stacked import Seen, Stacked, StackPolicy, stack_of, transitions_of
from latentctx_datasets import StateStore
from latentctx_envs.encoders.latent.sensors import Sensors

CHUNK = 4096  # transitions labelled at once

QUICK_REGRESSION = RegressionConfig(
    batch_size=256, least_epochs=0, least_steps=0, most_steps=20_000, check_every=1000
)


@dataclass(frozen=True, kw_only=True)
class BaselineConfig:
    """How a baseline is trained on a body's experience and on demonstrations."""

    body: RegressionConfig = field(default_factory=lambda: QUICK_REGRESSION)  # of what learns from actions
    demonstrations: RegressionConfig = field(default_factory=lambda: QUICK_REGRESSION)  # of the policy
    seed: int = 0


QUICK = BaselineConfig()
PAPER = BaselineConfig(body=RegressionConfig(), demonstrations=RegressionConfig())


class Learned(NamedTuple):
    """A network and how its training went."""

    network: Stacked
    fit: Fit


def learn_inverse_dynamics(store: StateStore, sensors: Sensors, config: BaselineConfig) -> Learned:
    """A network from stacked observations and the next one to the action between them (BCO(0), first stage)."""
    stack = stack_of(sensors.observed)
    found = transitions_of(store, stack)
    seen, last = Seen(store, sensors), found.before[:, -1]
    rows = np.concatenate([found.before, found.after[:, None]], axis=1)
    torch.manual_seed(config.seed)
    network = Stacked(sensors, stack + 1, store.actions.shape[-1])

    def loss(chosen: np.ndarray) -> Tensor:
        return F.mse_loss(network(seen.observations(rows[chosen])), seen.actions(last[chosen]))

    return Learned(network, fit(network, loss, found.episodes, config.body, _rng(config, 0)))


def learn_forward_dynamics(store: StateStore, sensors: Sensors, config: BaselineConfig) -> Learned:
    """A network from stacked observations and an action to the next observation (IIDM, first stage); vectors alone."""
    stack = stack_of(sensors.observed)
    found = transitions_of(store, stack)
    seen, last = Seen(store, sensors), found.before[:, -1]
    torch.manual_seed(config.seed)
    network = Stacked(sensors, stack, sensors.width, extra=store.actions.shape[-1], squash=False)

    def loss(chosen: np.ndarray) -> Tensor:
        predicted = network(seen.observations(found.before[chosen]), seen.actions(last[chosen]))
        return F.mse_loss(predicted, seen.observations(found.after[chosen]))

    return Learned(network, fit(network, loss, found.episodes, config.body, _rng(config, 0)))


def clone_inferred(
    inverse: Stacked, store: StateStore, demos: int, sensors: Sensors, config: BaselineConfig
) -> Learned:
    """A policy that clones the actions an inverse dynamics network reads from demonstrations (BCO(0), second stage)."""
    found, seen = transitions_of(store, stack_of(sensors.observed), demos), Seen(store, sensors)
    rows = np.concatenate([found.before, found.after[:, None]], axis=1)
    inverse.eval()
    with torch.no_grad():
        parts = [inverse(seen.observations(rows[i : i + CHUNK])) for i in range(0, len(rows), CHUNK)]
    actions = torch.cat(parts)

    def compare(chosen: np.ndarray, before: Tensor, predicted: Tensor) -> Tensor:
        return F.mse_loss(predicted, actions[chosen])

    return _learn_policy(store, demos, sensors, config, compare, encoder=inverse.encoder)


def clone_true(store: StateStore, demos: int, sensors: Sensors, config: BaselineConfig) -> Learned:
    """A policy that clones the true actions of the demonstrations, which the other methods are not told (BC)."""
    found = transitions_of(store, stack_of(sensors.observed), demos)
    actions = Seen(store, sensors).actions(found.before[:, -1])

    def compare(chosen: np.ndarray, before: Tensor, predicted: Tensor) -> Tensor:
        return F.mse_loss(predicted, actions[chosen])

    return _learn_policy(store, demos, sensors, config, compare)


def imitate_forward(
    forward: Stacked, store: StateStore, demos: int, sensors: Sensors, config: BaselineConfig
) -> Learned:
    """A policy whose actions lead, through a network without latents, to what was observed next (IIDM)."""
    found, seen = transitions_of(store, stack_of(sensors.observed), demos), Seen(store, sensors)
    forward.eval().requires_grad_(False)

    def compare(chosen: np.ndarray, before: Tensor, predicted: Tensor) -> Tensor:
        return F.mse_loss(forward(before, predicted), seen.observations(found.after[chosen]))

    return _learn_policy(store, demos, sensors, config, compare)


def _learn_policy(
    store: StateStore,
    demos: int,
    sensors: Sensors,
    config: BaselineConfig,
    compare: Callable[[np.ndarray, Tensor, Tensor], Tensor],
    *,
    encoder: nn.Module | None = None,
) -> Learned:
    """Train a policy on the demonstrations.

    Args:
        store: the demonstrations.
        demos: the first so many.
        sensors: what is observed.
        config: the training.
        compare: (indices of transitions, their observations, the policy's actions) -> loss.
        encoder: what its own starts from.
    """
    stack = stack_of(sensors.observed)
    found, seen = transitions_of(store, stack, demos), Seen(store, sensors)
    torch.manual_seed(config.seed)
    network = Stacked(sensors, stack, store.actions.shape[-1])
    if encoder is not None:
        network.encoder = copy.deepcopy(encoder)

    def loss(chosen: np.ndarray) -> Tensor:
        before = seen.observations(found.before[chosen])
        return compare(chosen, before, network(before))

    return Learned(network, fit(network, loss, found.episodes, config.demonstrations, _rng(config, 1)))


def as_policy(learned: Learned, sensors: Sensors) -> StackPolicy:
    """The network as a policy of `rollout()`."""
    return StackPolicy(learned.network, stack_of(sensors.observed), sensors)


def _rng(config: BaselineConfig, stage: int) -> np.random.Generator:
    return np.random.default_rng([config.seed, stage])
