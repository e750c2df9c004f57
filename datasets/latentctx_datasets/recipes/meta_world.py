"""Meta-World's datasets: the pretraining sets of arXiv 2305.16985 in three sizes, and one of each task."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from latentctx_datasets.recipes.recipe import Plan, Recipe
from latentctx_envs.context import Split
from latentctx_envs.meta_world.splits import tasks_of

SCRIPTED = "meta-world-scripted"
SINGLE = 100  # episodes of a set of one task
FINETUNE_TASKS = 5  # to finetune on
FINETUNE_EPISODES = 30  # demonstrations of each
FINETUNE_SEED = 1_000_000  # the authors' finetuning seeds are 1e6 + task

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


def _pretraining(dataset_id: str, name: str, count: int, split: Split = "train", **world: Any) -> Recipe:
    """The first `count` episodes of a set's pretraining tasks; with split "all" of the finetuning tasks as well."""
    if name == "pick-place":
        tasks, what, split = ("pick-place-v3",), "hidden goals", "all"
    else:
        tasks = tasks_of(name, split)
        what = "contexts of the pretraining tasks"
        what += " and of those to finetune on" if split == "all" else ""
    return Recipe(
        id=dataset_id,
        plans=plans_of(tasks, count, split),
        description=f"{count:,} {what}, one scripted episode each (arXiv 2305.16985); failures are kept and flagged.",
        demonstrator=SCRIPTED,
        **world,
    )


def finetune_plans(tasks: tuple[str, ...], *, same_context: bool = False) -> Plans:
    """Episodes of five tasks to finetune on, task by task; of five contexts of one task if `same_context`."""

    def plans() -> Iterator[Plan]:
        from latentctx_envs.meta_world.context import MetaWorldContext

        for index in range(FINETUNE_TASKS):
            task, first = tasks[index % len(tasks)], FINETUNE_SEED + 1000 * index
            for episode in range(FINETUNE_EPISODES):
                seed = first + episode
                drawn = np.random.default_rng(first if same_context else seed)
                yield Plan(context=MetaWorldContext.of_task(task, drawn), seed=seed, split="test")

    return plans


def _finetuning(dataset_id: str, name: str, what: str, **world: Any) -> Recipe:
    """Demonstrations of the tasks that a set is finetuned on."""
    if name == "pick-place":
        plans = finetune_plans(("pick-place-v3",), same_context=True)
    else:
        plans = finetune_plans(tasks_of(name, "test"))
    return Recipe(
        id=dataset_id,
        plans=plans,
        description=f"{what}, {FINETUNE_EPISODES} scripted episodes each, one after the other.",
        demonstrator=SCRIPTED,
        group=FINETUNE_EPISODES,
        **world,
    )


def _single(dataset_id: str, task: str) -> Recipe:
    """A hundred episodes of one task."""
    return Recipe(
        id=dataset_id,
        env_id="LatentCtx-MetaWorld-v0",
        env_kwargs={"task": task},
        plans=plans_of((task,), SINGLE, "all"),
        description=f"{SINGLE} contexts of {task}, one scripted episode each; failures are kept and flagged.",
        demonstrator=SCRIPTED,
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
    _pretraining("latentctx/door/expert-all-v0", "door", 1000, "all", **_DOOR),
    _pretraining("latentctx/ml45/expert-small-v0", "ml45", 100, **_ML45),
    _pretraining("latentctx/ml45/expert-medium-v0", "ml45", 1000, **_ML45),
    _pretraining("latentctx/ml45/expert-v0", "ml45", 10_000, **_ML45),
    _pretraining("latentctx/r3m/expert-small-v0", "r3m", 100, **_R3M),
    _pretraining("latentctx/r3m/expert-medium-v0", "r3m", 1000, **_R3M),
    _pretraining("latentctx/r3m/expert-v0", "r3m", 10_000, **_R3M),
    _finetuning(
        "latentctx/pick-place/finetune-v0",
        "pick-place",
        f"{FINETUNE_TASKS} unseen pairs of object and goal",
        **_PICK_PLACE,
    ),
    _finetuning(
        "latentctx/door/finetune-v0", "door", f"Locking doors anywhere, {FINETUNE_TASKS} times", **_DOOR
    ),
    _finetuning(
        "latentctx/ml45/finetune-v0", "ml45", f"The {FINETUNE_TASKS} tasks that ML45 holds out", **_ML45
    ),
    _finetuning(
        "latentctx/r3m/finetune-v0", "r3m", f"The {FINETUNE_TASKS} tasks that R3M's split holds out", **_R3M
    ),
    _single("latentctx/meta-world/assembly-expert-v0", "assembly-v3"),
    _single("latentctx/meta-world/basketball-expert-v0", "basketball-v3"),
    _single("latentctx/meta-world/bin-picking-expert-v0", "bin-picking-v3"),
    _single("latentctx/meta-world/box-close-expert-v0", "box-close-v3"),
    _single("latentctx/meta-world/button-press-topdown-expert-v0", "button-press-topdown-v3"),
    _single("latentctx/meta-world/button-press-topdown-wall-expert-v0", "button-press-topdown-wall-v3"),
    _single("latentctx/meta-world/button-press-expert-v0", "button-press-v3"),
    _single("latentctx/meta-world/button-press-wall-expert-v0", "button-press-wall-v3"),
    _single("latentctx/meta-world/coffee-button-expert-v0", "coffee-button-v3"),
    _single("latentctx/meta-world/coffee-pull-expert-v0", "coffee-pull-v3"),
    _single("latentctx/meta-world/coffee-push-expert-v0", "coffee-push-v3"),
    _single("latentctx/meta-world/dial-turn-expert-v0", "dial-turn-v3"),
    _single("latentctx/meta-world/disassemble-expert-v0", "disassemble-v3"),
    _single("latentctx/meta-world/door-close-expert-v0", "door-close-v3"),
    _single("latentctx/meta-world/door-lock-expert-v0", "door-lock-v3"),
    _single("latentctx/meta-world/door-open-expert-v0", "door-open-v3"),
    _single("latentctx/meta-world/door-unlock-expert-v0", "door-unlock-v3"),
    _single("latentctx/meta-world/hand-insert-expert-v0", "hand-insert-v3"),
    _single("latentctx/meta-world/drawer-close-expert-v0", "drawer-close-v3"),
    _single("latentctx/meta-world/drawer-open-expert-v0", "drawer-open-v3"),
    _single("latentctx/meta-world/faucet-open-expert-v0", "faucet-open-v3"),
    _single("latentctx/meta-world/faucet-close-expert-v0", "faucet-close-v3"),
    _single("latentctx/meta-world/hammer-expert-v0", "hammer-v3"),
    _single("latentctx/meta-world/handle-press-side-expert-v0", "handle-press-side-v3"),
    _single("latentctx/meta-world/handle-press-expert-v0", "handle-press-v3"),
    _single("latentctx/meta-world/handle-pull-side-expert-v0", "handle-pull-side-v3"),
    _single("latentctx/meta-world/handle-pull-expert-v0", "handle-pull-v3"),
    _single("latentctx/meta-world/lever-pull-expert-v0", "lever-pull-v3"),
    _single("latentctx/meta-world/pick-place-wall-expert-v0", "pick-place-wall-v3"),
    _single("latentctx/meta-world/pick-out-of-hole-expert-v0", "pick-out-of-hole-v3"),
    _single("latentctx/meta-world/pick-place-expert-v0", "pick-place-v3"),
    _single("latentctx/meta-world/plate-slide-expert-v0", "plate-slide-v3"),
    _single("latentctx/meta-world/plate-slide-side-expert-v0", "plate-slide-side-v3"),
    _single("latentctx/meta-world/plate-slide-back-expert-v0", "plate-slide-back-v3"),
    _single("latentctx/meta-world/plate-slide-back-side-expert-v0", "plate-slide-back-side-v3"),
    _single("latentctx/meta-world/peg-insert-side-expert-v0", "peg-insert-side-v3"),
    _single("latentctx/meta-world/peg-unplug-side-expert-v0", "peg-unplug-side-v3"),
    _single("latentctx/meta-world/soccer-expert-v0", "soccer-v3"),
    _single("latentctx/meta-world/stick-push-expert-v0", "stick-push-v3"),
    _single("latentctx/meta-world/stick-pull-expert-v0", "stick-pull-v3"),
    _single("latentctx/meta-world/push-expert-v0", "push-v3"),
    _single("latentctx/meta-world/push-wall-expert-v0", "push-wall-v3"),
    _single("latentctx/meta-world/push-back-expert-v0", "push-back-v3"),
    _single("latentctx/meta-world/reach-expert-v0", "reach-v3"),
    _single("latentctx/meta-world/reach-wall-expert-v0", "reach-wall-v3"),
    _single("latentctx/meta-world/shelf-place-expert-v0", "shelf-place-v3"),
    _single("latentctx/meta-world/sweep-into-expert-v0", "sweep-into-v3"),
    _single("latentctx/meta-world/sweep-expert-v0", "sweep-v3"),
    _single("latentctx/meta-world/window-open-expert-v0", "window-open-v3"),
    _single("latentctx/meta-world/window-close-expert-v0", "window-close-v3"),
)
