"""Progress bars of trainings."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:  # the command line starts without torch
    from latentctx_agents.optim import Metrics, OnStep


@contextlib.contextmanager
def training_bar(
    label: str,
    steps: int,
    *,
    position: int = 0,
    hidden: bool = False,
    metric: str = "loss",
    unit: str = "step",
) -> "Iterator[OnStep]":
    """A bar over gradient steps; yields the function that advances it with (step, metrics).

    Args:
        label: shown before the bar.
        steps: gradient steps in all.
        position: line of the bar when several processes show one.
        hidden: show nothing.
        metric: shown behind the bar.
        unit: of a step.
    """
    with tqdm(total=steps, desc=label, position=position, unit=unit, delay=1, disable=hidden) as bar:

        def advance(step: int, metrics: "Metrics") -> None:
            bar.update(step - bar.n)
            bar.set_postfix({metric: f"{metrics[metric]:.3f}"}, refresh=False)

        yield advance
