"""Meta-World's datasets: pretraining sets of arXiv 2305.16985, so far no more than a thousand episodes."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from latentctx_datasets.recipes.recipe import Plan, Recipe
from latentctx_envs.context import Split
from latentctx_envs.meta_world.splits import tasks_of

SCRIPTED = "meta-world-scripted"

Plans = Callable[[], Iterator[Plan]]


def plans_of(tasks: tuple[str, ...], count: int, split: Split) -> Plans:
    """Episodes whose task and random vector are drawn from the generator of their own seed."""

    def plans() -> Iterator[Plan]:
        from latentctx_envs.meta_world.context import MetaWorldContext

        for seed in range(count):
            rng = np.random.default_rng(seed)
            task = tasks[int(rng.integers(len(tasks)))]
            yield Plan(context=MetaWorldContext.of_task(task, rng), seed=seed, split=split)

    return plans


def _pretraining(dataset_id: str, name: str, count: int, **world: Any) -> Recipe:
    """The first `count` episodes of a set's pretraining tasks."""
    tasks = tasks_of(name, "train") if name != "pick-place" else ("pick-place-v3",)
    what = "hidden goals" if name == "pick-place" else "contexts of the pretraining tasks"
    return Recipe(
        id=dataset_id,
        plans=plans_of(tasks, count, "all" if name == "pick-place" else "train"),
        description=f"{count:,} {what}, one scripted episode each (arXiv 2305.16985); failures are kept and flagged.",
        demonstrator=SCRIPTED,
        **world,
    )


_PICK_PLACE: dict[str, Any] = {"env_id": "LatentCtx-PickPlace-v0"}
_DOOR: dict[str, Any] = {"env_id": "LatentCtx-Door-v0"}
_ML45: dict[str, Any] = {"env_id": "LatentCtx-MetaWorld-v0", "env_kwargs": {"tasks": "ml45"}}
_R3M: dict[str, Any] = {"env_id": "LatentCtx-MetaWorld-v0", "env_kwargs": {"tasks": "r3m"}}

META_WORLD: tuple[Recipe, ...] = (
    _pretraining("latentctx/pick-place/expert-small-v0", "pick-place", 10, **_PICK_PLACE),
    _pretraining("latentctx/pick-place/expert-medium-v0", "pick-place", 100, **_PICK_PLACE),
    _pretraining("latentctx/pick-place/expert-v0", "pick-place", 1000, **_PICK_PLACE),
    _pretraining("latentctx/door/expert-small-v0", "door", 10, **_DOOR),
    _pretraining("latentctx/door/expert-medium-v0", "door", 100, **_DOOR),
    _pretraining("latentctx/door/expert-v0", "door", 1000, **_DOOR),
    _pretraining("latentctx/ml45/expert-small-v0", "ml45", 100, **_ML45),
    _pretraining("latentctx/r3m/expert-small-v0", "r3m", 100, **_R3M),
)
