"""What the datasets of cheetah and walker share (AIME, NeurIPS 2023): episodes, seeds, who plays which episode."""

from collections.abc import Callable, Iterator
from typing import Any

from latentctx_datasets.demonstrators import snapshot_count
from latentctx_datasets.demonstrators.locomotion import ALGORITHM, ENV_IDS
from latentctx_datasets.recipes.recipe import Plan, Recipe
from latentctx_envs.locomotion.context import LocomotionContext
from latentctx_envs.locomotion.protocol import ENV_KWARGS, NATIVE_RETURN, most

EPISODES = 1000  # of each dataset; the first 100 of an expert's are the paper's main demonstrations
RANDOM_SEED = 0  # seeds of an episode are these plus its number, so that no two datasets begin alike
EXPERT_SEED = 1_000_000
REPLAY_SEED = 2_000_000
NOISY_SEED = 3_000_000  # further, of the same who plays with noise
TASK_SEEDS = 10_000  # between two tasks of an embodiment

WITH_NOISE = " with noisy actions"

Plans = Callable[[], Iterator[Plan]]


def random_plans(context: LocomotionContext) -> Plans:
    """The random player's episodes."""

    def plans() -> Iterator[Plan]:
        for number in range(EPISODES):
            yield Plan(context=context, seed=RANDOM_SEED + number, split="all", demonstrator="random")

    return plans


def expert_plans(context: LocomotionContext, *, noisy: bool = False) -> Plans:
    """The episodes of a trained demonstrator's last snapshot."""

    def plans() -> Iterator[Plan]:
        first = EXPERT_SEED + NOISY_SEED * noisy + TASK_SEEDS * context.tasks.index(context.task)
        for number in range(EPISODES):
            yield Plan(context=context, seed=first + number, split="all")

    return plans


def replay_plans(context: LocomotionContext, demonstrator: str, *, noisy: bool = False) -> Plans:
    """Episodes that follow a training: number i of n is played by snapshot floor(i K / n) of K."""

    def plans() -> Iterator[Plan]:
        first = REPLAY_SEED + NOISY_SEED * noisy + TASK_SEEDS * context.tasks.index(context.task)
        count = snapshot_count(demonstrator)
        for number in range(EPISODES):
            yield Plan(
                context=context,
                seed=first + number,
                split="all",
                demonstrator=demonstrator,
                snapshot=number * count // EPISODES,
            )

    return plans


def mixed_plans(*parts: Plans) -> Plans:
    """The episodes of several datasets, one after the other."""

    def plans() -> Iterator[Plan]:
        for part in parts:
            yield from part()

    return plans


def random_recipe(dataset_id: str, context: LocomotionContext) -> Recipe:
    """The recipe of an embodiment's random dataset, in the world of one of dm_control's own tasks."""
    return Recipe(
        id=dataset_id,
        plans=random_plans(context),
        description="1,000 episodes of uniformly random actions.",
        max_return=NATIVE_RETURN,
        **{**_who_and_where(dataset_id, context), "demonstrator": "random"},
    )


def expert_recipe(dataset_id: str, context: LocomotionContext, doing: str, *, noisy: bool = False) -> Recipe:
    """The recipe of a task's demonstrations; `doing` says what one sees."""
    return Recipe(
        id=dataset_id,
        plans=expert_plans(context, noisy=noisy),
        description=f"1,000 episodes of {doing}{WITH_NOISE * noisy}; the first 100 are the main demonstrations.",
        **_who_and_where(dataset_id, context, "-noisy" * noisy),
    )


def replay_recipe(dataset_id: str, context: LocomotionContext, doing: str, *, noisy: bool = False) -> Recipe:
    """The recipe of the episodes along a task's training, scored against the most that one can earn."""
    names = _who_and_where(dataset_id, context, "-exploring" * noisy)
    return Recipe(
        id=dataset_id,
        plans=replay_plans(context, names["demonstrator"], noisy=noisy),
        description=f"1,000 episodes played evenly over the training of {doing}{WITH_NOISE * noisy}.",
        max_return=most(_name(dataset_id, context)),
        **names,
    )


def _who_and_where(dataset_id: str, context: LocomotionContext, how: str = "") -> dict[str, Any]:
    """The world of a context's task, its settings, and the task's own demonstrator."""
    name = _name(dataset_id, context)
    return {"env_id": ENV_IDS[name], "env_kwargs": ENV_KWARGS, "demonstrator": f"{name}-{ALGORITHM}{how}"}


def _name(dataset_id: str, context: LocomotionContext) -> str:
    """A task's name such as "cheetah-run"."""
    _, body, _ = dataset_id.split("/")
    return f"{body}-{context.task}"
