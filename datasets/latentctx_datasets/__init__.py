"""Demonstrations of the LatentCtx worlds: Minari datasets, pixels derived from their states, fast sampling."""

from latentctx_datasets.collector import DemonstrationCollector
from latentctx_datasets.features import FeatureStore, open_features
from latentctx_datasets.identity import verify
from latentctx_datasets.library import DatasetError, info, load, recover
from latentctx_datasets.recipes import RECIPES, Recipe
from latentctx_datasets.recording import finish_recording
from latentctx_datasets.replay import View, replay
from latentctx_datasets.sampling import Transitions, TransitionSampler
from latentctx_datasets.sequences import Sequences, SequenceSampler
from latentctx_datasets.shifts import random_shift
from latentctx_datasets.store import (
    PixelStore,
    StateStore,
    holds_frames,
    open_frames,
    open_pixels,
    open_states,
    open_store,
)
from latentctx_datasets.videos import Videos

__all__ = [
    "RECIPES",
    "DatasetError",
    "DemonstrationCollector",
    "FeatureStore",
    "PixelStore",
    "Recipe",
    "SequenceSampler",
    "Sequences",
    "StateStore",
    "TransitionSampler",
    "Transitions",
    "Videos",
    "View",
    "finish_recording",
    "holds_frames",
    "info",
    "load",
    "open_features",
    "open_frames",
    "open_pixels",
    "open_states",
    "open_store",
    "random_shift",
    "recover",
    "replay",
    "verify",
]
