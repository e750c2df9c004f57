"""What the datasets of cheetah and walker share (AIME, NeurIPS 2023): episodes, seeds, who plays which episode."""

from collections.abc import Callable, Iterator
from typing import Any

from latentctx_datasets.demonstrators import snapshot_count
from latentctx_datasets.recipes.recipe import Plan
from latentctx_envs.locomotion.context import LocomotionContext

EPISODES = 1000  # of each dataset; the first 100 of an expert's are the paper's main demonstrations
RANDOM_SEED = 0  # seeds of an episode are these plus its number, so that no two datasets begin alike
EXPERT_SEED = 1_000_000
REPLAY_SEED = 2_000_000
TASK_SEEDS = 10_000  # between two tasks of an embodiment

ENV_KWARGS: dict[str, Any] = {
    "action_repeat": 2,  # control steps a decision
    "max_episode_steps": 500,  # decisions
    "reward_mode": "last_substep",  # returns as in the paper: at most 500 for tasks that dm_control does not have
}
NATIVE_RETURN = 1000.0  # the most that an episode of a task of dm_control's can earn
CUSTOM_RETURN = 500.0  # of another task

Plans = Callable[[], Iterator[Plan]]


def random_plans(context: LocomotionContext) -> Plans:
    """The random player's episodes."""

    def plans() -> Iterator[Plan]:
        for number in range(EPISODES):
            yield Plan(context=context, seed=RANDOM_SEED + number, split="all", demonstrator="random")

    return plans


def expert_plans(context: LocomotionContext) -> Plans:
    """The episodes of a trained demonstrator's last snapshot."""

    def plans() -> Iterator[Plan]:
        first = EXPERT_SEED + TASK_SEEDS * context.tasks.index(context.task)
        for number in range(EPISODES):
            yield Plan(context=context, seed=first + number, split="all")

    return plans


def replay_plans(context: LocomotionContext, demonstrator: str) -> Plans:
    """Episodes that follow a training: number i of n is played by snapshot floor(i K / n) of K."""

    def plans() -> Iterator[Plan]:
        first = REPLAY_SEED + TASK_SEEDS * context.tasks.index(context.task)
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
