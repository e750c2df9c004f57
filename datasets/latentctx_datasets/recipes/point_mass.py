"""The point mass' datasets (arXiv 2305.16985)."""

from collections.abc import Callable, Iterator
from typing import Any

from latentctx_datasets.recipes.recipe import Plan, Recipe
from latentctx_envs.point_mass.context import PointMassContext, split_goals

FINETUNE_GOALS = 20  # test goals with demonstrations; the first five are the authors'
FINETUNE_EPISODES = 20  # demonstrations of each
FINETUNE_SEED = 1_000_000  # the authors' finetuning seeds are 1e6 + goal


def train_plans(count: int) -> Callable[[], Iterator[Plan]]:
    """One episode of each of the first training goals."""

    def plans() -> Iterator[Plan]:
        for seed, goal in enumerate(split_goals("train")[:count]):
            yield Plan(context=PointMassContext(goal=goal), seed=seed, split="train")

    return plans


def _finetune_plans() -> Iterator[Plan]:
    for index, goal in enumerate(split_goals("test")[:FINETUNE_GOALS]):
        for episode in range(FINETUNE_EPISODES):
            seed = FINETUNE_SEED + 1000 * index + episode
            yield Plan(context=PointMassContext(goal=goal), seed=seed, split="test")


_WORLD: dict[str, Any] = {
    "env_id": "LatentCtx-PointMass-v0",
    "demonstrator": "point-mass-expert",
}

POINT_MASS: tuple[Recipe, ...] = (
    Recipe(
        id="latentctx/point-mass/expert-v0",
        plans=train_plans(1000),
        description="1,000 hidden goals, one expert episode each: the pretraining set of arXiv 2305.16985.",
        **_WORLD,
    ),
    Recipe(
        id="latentctx/point-mass/expert-small-v0",
        plans=train_plans(20),
        description="The first 20 episodes of expert-v0; ships with the package.",
        shipped=True,
        **_WORLD,
    ),
    Recipe(
        id="latentctx/point-mass/finetune-v0",
        plans=_finetune_plans,
        group=FINETUNE_EPISODES,
        description="20 unseen goals, 20 expert episodes each, goal by goal; the first five goals are the authors'.",
        **_WORLD,
    ),
)
