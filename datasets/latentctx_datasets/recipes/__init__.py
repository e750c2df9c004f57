"""Recipes: each dataset's id with everything that is needed to build it again, bit for bit."""

from latentctx_datasets.recipes.cheetah import CHEETAH
from latentctx_datasets.recipes.meta_world import META_WORLD
from latentctx_datasets.recipes.point_mass import FINETUNE_EPISODES, FINETUNE_GOALS, POINT_MASS
from latentctx_datasets.recipes.recipe import Plan, Recipe
from latentctx_datasets.recipes.walker import WALKER

RECIPES: dict[str, Recipe] = {recipe.id: recipe for recipe in (*POINT_MASS, *CHEETAH, *WALKER, *META_WORLD)}

__all__ = ["FINETUNE_EPISODES", "FINETUNE_GOALS", "RECIPES", "Plan", "Recipe"]
