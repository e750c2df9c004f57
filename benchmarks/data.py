"""Training batches from the mapped pixel store against Minari and memcpy, and cached features against encoding again.

The peer of a batch of transitions is what a user of Minari writes: `sample_episodes`, one random transition of each. It
draws without replacement, so the shipped dataset of 20 episodes is asked for 20 at a time and costs are counted by the
transition; windows likewise. The pixel dataset is exported losslessly as Minari writes it, both have their files in the
page cache. memcpy is one contiguous `np.copyto` of a batch's bytes into an array that was there before; "new array" is
the same into a fresh one. A sampler makes fresh arrays unless it is given a batch to use again (`sample(out=batch)`).

Targets: 1,000 times Minari for transitions, 100 times for windows, half of memcpy's speed (0.5 below), a step of
finetuning a head 50 times as cheap as with encoding again.
Found (2 cores of an Intel Xeon with 260 MiB of L3, shared with other work; by CPU time, ranges of two runs, 84 pixels):

                                      of Minari     of memcpy     of memcpy into a new array
    batches of 256 transitions        x3050-3700    x0.71-0.74    x0.74
      arrays used again               x3100-3500    x0.72-0.76
      with random shifts of 8         x670-750      x0.14-0.19
    50 windows of 50 frames           x47-50        x0.53-0.61    x0.94-1.0
      arrays used again               x91-100       x1.02-1.10
    a head on cached features         x172-198 (84 px PAPER, batches of 256), x7.4-7.6 (47 px QUICK, of 128)
    the cache of 2020 frames          made in 6.2-7.4 s (PAPER) and 0.3-0.4 s (QUICK), found in 0.004 s and 0.002 s

Windows: memcpy itself is 75 to 100 times Minari here, so 100 is reached only where the copy is as fast as memcpy: with
arrays used again, about. The pages of a fresh array of 53 MB come from the kernel each time, which costs as much as the
copy. Tried: one gather of all frames (`np.take`) instead of a slice for each window, 4 to 27 % slower.
Transitions: `np.take` needs `mode="clip"`, or it fills a buffer first. Arrays of 5 MB come back from the allocator, so
using them again gains nothing. Shifts are read where the frames lie, without a copy of the batch before; what remains
is up to five small NumPy copies an image.
The head: PAPER encodes a batch in 730 ms and trains the head in 3.8 ms. QUICK encodes one in 14 ms, and the head's own
step takes 2.1 ms (60 million floating-point operations): no cache can give more than 8 there.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import minari
import numpy as np
import torch
from harness import Arm, Comparison, as_json, compare, run

from latentctx_agents import finetune
from latentctx_agents.nets import mlp
from latentctx_datasets import (
    PixelStore,
    SequenceSampler,
    TransitionSampler,
    View,
    copies,
    load,
    open_features,
    open_store,
)
from latentctx_envs.encoders import PAPER, QUICK, ConvNet, FrozenEncoder

SOURCE_ID = "latentctx/point-mass/expert-small-v0"
PIXELS = 84
BATCH = 256  # transitions, two frames each
WINDOWS, LENGTH = 50, 50  # of a batch of sequences
PAD = 8  # [pixels] largest random shift
NETS = {"84 px PAPER": (PAPER, finetune.PAPER), "47 px QUICK": (QUICK, finetune.QUICK)}


def results() -> dict[str, Any]:
    with data() as (store, exported):
        comparisons = {
            "transitions against Minari": transitions_against_minari(store, exported),
            "transitions against memcpy": transitions_against_memcpy(store),
            "sequences against Minari": sequences_against_minari(store, exported),
            "sequences against memcpy": sequences_against_memcpy(store),
        }
        seconds = {}
        for name in NETS:
            comparisons[f"head, {name}"], seconds[name] = head(name)
    return as_json(comparisons, {"feature cache seconds": seconds})


@contextmanager
def data() -> Iterator[tuple[PixelStore, minari.MinariDataset]]:
    """The shipped dataset as our store and as a pixel dataset of Minari's, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MINARI_DATASETS_PATH"] = f"{folder}/minari"
        os.environ["LATENTCTX_CACHE"] = f"{folder}/cache"
        load(SOURCE_ID)
        exported = minari.load_dataset(copies.export_pixels(SOURCE_ID, pixels=PIXELS))
        exported.set_seed(0)
        yield open_store(SOURCE_ID, View(image_size=PIXELS), workers=1), exported


def transitions_against_minari(store: PixelStore, exported: minari.MinariDataset) -> Comparison:
    return compare(
        f"Random transitions, {PIXELS} px",
        {"Minari": minari_transitions(exported), **transition_arms(store)},
        peer="Minari",
        unit="transition",
        targets={"store": 1000.0, "store, arrays used again": 1000.0},
    )


def transitions_against_memcpy(store: PixelStore) -> Comparison:
    size = 2 * BATCH * PIXELS * PIXELS * 3
    return compare(
        f"Random transitions, {PIXELS} px, batches of {BATCH}",
        {
            "memcpy": memcpy(size, BATCH),
            "memcpy, new array": memcpy_new(size, BATCH),
            **transition_arms(store),
        },
        peer="memcpy",
        unit="transition",
        targets={"store": 0.5, "store, arrays used again": 0.5},
    )


def sequences_against_minari(store: PixelStore, exported: minari.MinariDataset) -> Comparison:
    return compare(
        f"Windows of {LENGTH} frames, {PIXELS} px",
        {"Minari": minari_windows(exported), **sequence_arms(store)},
        peer="Minari",
        unit="window",
        targets={"store": 100.0, "store, arrays used again": 100.0},
    )


def sequences_against_memcpy(store: PixelStore) -> Comparison:
    size = WINDOWS * LENGTH * PIXELS * PIXELS * 3
    return compare(
        f"Windows of {LENGTH} frames, {PIXELS} px, batches of {WINDOWS}",
        {
            "memcpy": memcpy(size, WINDOWS),
            "memcpy, new array": memcpy_new(size, WINDOWS),
            **sequence_arms(store),
        },
        peer="memcpy",
        unit="window",
        targets={"store": 0.5, "store, arrays used again": 0.5},
    )


def transition_arms(store: PixelStore) -> dict[str, Arm]:
    def make(pad: int) -> TransitionSampler:
        return TransitionSampler(store, batch_size=BATCH, pad=pad, rng=np.random.default_rng(0))

    return {
        "store": new_arrays(make(0).sample, BATCH),
        "store, arrays used again": used_again(make(0), BATCH),
        f"store, shifts of {PAD}, used again": used_again(make(PAD), BATCH),
    }


def sequence_arms(store: PixelStore) -> dict[str, Arm]:
    def make() -> SequenceSampler:
        return SequenceSampler(store, batch_size=WINDOWS, length=LENGTH, rng=np.random.default_rng(0))

    return {
        "store": new_arrays(make().sample, WINDOWS),
        "store, arrays used again": used_again(make(), WINDOWS),
    }


def head(name: str) -> tuple[Comparison, dict[str, float]]:
    """Steps of finetuning a head, and how long the cache takes to make and to find."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config, settings = NETS[name]
    encoder = FrozenEncoder(ConvNet(config))
    store = open_store(SOURCE_ID, View(image_size=config.image_size[0]), workers=1)
    seconds = {}
    for run_name in ("first run", "second run"):
        began = time.perf_counter()
        cache = open_features(store, encoder)
        seconds[run_name] = round(time.perf_counter() - began, 4)
    features, frames = np.asarray(cache.features), np.asarray(store.frames)
    actions = torch.from_numpy(np.array(store.actions))
    rng = np.random.default_rng(0)
    network = mlp(encoder.module.features_dim, 2, hidden=settings.hidden, dropout=settings.dropout)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def step(inputs: Callable[[np.ndarray], np.ndarray]) -> Arm:
        def arm() -> int:
            rows = rng.integers(len(features), size=settings.optimizer.batch_size)
            loss = (network(torch.from_numpy(inputs(rows))) - actions[rows]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return 1

        return arm

    comparison = compare(
        f"Finetuning a head, batches of {settings.optimizer.batch_size}, {name}",
        {
            "encode again": step(lambda rows: encoder.encode(frames[rows])),
            "cached features": step(lambda rows: features[rows]),
        },
        peer="encode again",
        unit="step",
        targets={"cached features": 50.0},
    )
    print(f"  feature cache of {len(features)} frames: {seconds}", flush=True)
    return comparison, seconds


def new_arrays(sample: Callable[[], Any], units: int) -> Arm:
    def arm() -> int:
        sample()
        return units

    return arm


def used_again(sampler: Any, units: int) -> Arm:
    batch = sampler.sample()

    def arm() -> int:
        sampler.sample(out=batch)
        return units

    return arm


def minari_transitions(dataset: minari.MinariDataset) -> Arm:
    """A batch of one random transition of each sampled episode."""
    rng = np.random.default_rng(0)

    def arm() -> int:
        pixels, actions, following = [], [], []
        for episode in dataset.sample_episodes(len(dataset)):
            step = rng.integers(len(episode.actions))
            pixels.append(episode.observations[step])
            actions.append(episode.actions[step])
            following.append(episode.observations[step + 1])
        batch = [np.stack(part) for part in (pixels, actions, following)]
        return len(batch[0])

    return arm


def minari_windows(dataset: minari.MinariDataset) -> Arm:
    """A batch of one random window of each sampled episode."""
    rng = np.random.default_rng(0)

    def arm() -> int:
        pixels, actions = [], []
        for episode in dataset.sample_episodes(len(dataset)):
            start = rng.integers(len(episode.actions) - LENGTH + 1)
            pixels.append(episode.observations[start : start + LENGTH])
            actions.append(episode.actions[start : start + LENGTH])
        batch = [np.stack(part) for part in (pixels, actions)]
        return len(batch[0])

    return arm


def memcpy(size: int, units: int) -> Arm:
    """One contiguous copy of a batch's bytes into an array that is there."""
    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)

    def arm() -> int:
        np.copyto(target, source)
        return units

    return arm


def memcpy_new(size: int, units: int) -> Arm:
    """The same into an array made for it."""
    source = np.ones(size, np.uint8)

    def arm() -> int:
        source.copy()
        return units

    return arm


if __name__ == "__main__":
    run(__doc__ or "", results)
