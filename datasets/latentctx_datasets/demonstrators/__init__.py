"""Policies that produce data; they read the context, which learners never see."""

from collections.abc import Callable
from typing import Any

from latentctx_datasets.demonstrators.point_mass import PointMassExpert
from latentctx_envs.rollout import Policy

DEMONSTRATORS: dict[str, Callable[..., Policy]] = {"point-mass-expert": PointMassExpert}


def make_demonstrator(name: str, **kwargs: Any) -> Policy:
    """The demonstrator of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in DEMONSTRATORS:
        raise ValueError(f"demonstrators are {', '.join(sorted(DEMONSTRATORS))}; got {name!r}.")
    return DEMONSTRATORS[name](**kwargs)
