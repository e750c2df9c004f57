"""What a recipe is: everything that is needed to build a dataset again, bit for bit."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from latentctx_envs.context import Context, Split


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One episode to collect."""

    context: Context
    seed: int  # of the environment's reset, and of a demonstrator that draws
    split: Split  # that the context belongs to
    demonstrator: str | None = None  # who plays it; None for the recipe's
    snapshot: int | None = None  # of a trained demonstrator, from 0; None for the last, the expert


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a dataset is made."""

    id: str  # Minari dataset id
    env_id: str
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)  # JSON values, of the dataset's environment
    demonstrator: str  # name in `latentctx_datasets.demonstrators`
    guests: tuple[str, ...] = ()  # further demonstrators that plans name
    plans: Callable[[], Iterator[Plan]]
    description: str
    max_return: float | None = None  # the reference score of 1; None for the dataset's own mean, an expert's
    group: int | None = None  # episodes in a row that belong to one finetuning task; None: they stand alone
    shipped: bool = False  # a copy lies in the package

    @property
    def demonstrators(self) -> tuple[str, ...]:
        """Everyone who plays an episode."""
        return (self.demonstrator, *self.guests)
