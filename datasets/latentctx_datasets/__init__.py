"""Demonstrations of the LatentCtx worlds: Minari datasets, pixels derived from their states, fast sampling."""

from latentctx_datasets.library import DatasetError, info, load, recover, verify
from latentctx_datasets.recipes import RECIPES, Recipe
from latentctx_datasets.replay import View, replay
from latentctx_datasets.sampling import TransitionSampler, random_shift
from latentctx_datasets.store import PixelStore, open_store

__all__ = [
    "RECIPES",
    "DatasetError",
    "PixelStore",
    "Recipe",
    "TransitionSampler",
    "View",
    "info",
    "load",
    "open_store",
    "random_shift",
    "recover",
    "replay",
    "verify",
]
