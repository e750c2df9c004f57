"""Policies that produce data; they read the context, which learners never see."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

from gymnasium import spaces

from latentctx_datasets.demonstrators import locomotion
from latentctx_datasets.demonstrators.locomotion import TrainedPolicy
from latentctx_datasets.demonstrators.meta_world import ScriptedPolicy
from latentctx_datasets.demonstrators.noisy import DEMONSTRATING, EXPLORING, NoisyActions
from latentctx_datasets.demonstrators.point_mass import PointMassExpert
from latentctx_datasets.demonstrators.random_actions import RandomActions
from latentctx_envs.rollout import Policy

_TASKS = tuple(locomotion.ENV_IDS)
_MEAN: dict[str, str] = {f"{task}-{locomotion.ALGORITHM}": task for task in _TASKS}
_NOISY: dict[str, str] = {f"{task}-{locomotion.ALGORITHM}-noisy": task for task in _TASKS}
_EXPLORING: dict[str, str] = {f"{task}-{locomotion.ALGORITHM}-exploring": task for task in _TASKS}
TRAINED: dict[str, str] = {**_MEAN, **_NOISY, **_EXPLORING}
"""Name of a trained demonstrator, or of one whose actions are disturbed -> its task."""


def _disturbed(task: str, scale: float, **kwargs: Any) -> NoisyActions:
    return NoisyActions(TrainedPolicy(task, **kwargs), scale)


DEMONSTRATORS: dict[str, Callable[..., Policy]] = {
    "point-mass-expert": PointMassExpert,
    "meta-world-scripted": ScriptedPolicy,
    "random": RandomActions,
    **{name: partial(TrainedPolicy, task) for name, task in _MEAN.items()},
    **{name: partial(_disturbed, task, DEMONSTRATING) for name, task in _NOISY.items()},
    **{name: partial(_disturbed, task, EXPLORING) for name, task in _EXPLORING.items()},
}


@runtime_checkable
class Draws(Protocol):
    """A policy that draws: it is told the episodes' seeds before they begin."""

    def begin(self, space: spaces.Box, seeds: Sequence[int]) -> None:
        """Prepare for N episodes side by side in environments of this action space."""
        ...


def make_demonstrator(name: str, **kwargs: Any) -> Policy:
    """The demonstrator of that name.

    Raises:
        ValueError: there is none, or it is not trained yet (the message names the command).
    """
    return DEMONSTRATORS[_known(name)](**kwargs)


def snapshot_count(name: str) -> int:
    """How many snapshots of its training a trained demonstrator has.

    Raises:
        ValueError: there is no such trained demonstrator, or its weights are missing.
    """
    if _known(name) not in TRAINED:
        raise ValueError(f"{name!r} was not trained: it has no snapshots.")
    return locomotion.snapshot_count(TRAINED[name])


def is_ready(name: str) -> bool:
    """Whether the demonstrator can play: its weights ship, or it needs none."""
    task = TRAINED.get(_known(name))
    return task is None or locomotion.weights_file(task).is_file()


def _known(name: str) -> str:
    if name not in DEMONSTRATORS:
        raise ValueError(f"demonstrators are {', '.join(sorted(DEMONSTRATORS))}; got {name!r}.")
    return name
