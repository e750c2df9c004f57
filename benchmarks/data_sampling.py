"""Frames a second of training batches from the pixel store, against Minari's own sampling of the same frames.

Measured: `TransitionSampler.sample()` with batches of 256 transitions (512 frames), plain and with random shifts of 8
pixels, against `MinariDataset.sample_episodes(5)` (505 frames) of the same dataset exported with pixels, losslessly, as
Minari writes it (uncompressed, in HDF5's automatic chunks of 26 x 21 x 21 x 2). Minari is spared shuffling, shifting
and batching: every frame that it reads counts. Both have their files in the page cache. The arms take turns in one
process; the figures are medians over the turns, the ratios medians of each turn's ratio. CPU time is the process' own,
so it hardly feels what else the machine does.

Target: 10 times Minari's frames a second, random shifts included.
Found (2 shared cores of an Intel Xeon with AVX-512, 84 pixels): 53 times plain and 12 times with shifts, by wall and by
CPU time. Per CPU second: Minari 10,000 frames, the store 520,000, with shifts 117,000.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import minari
import numpy as np

from latentctx_datasets import TransitionSampler, View, collect, load, open_store

SOURCE_ID = "latentctx/point-mass/expert-small-v0"
BATCH = 256  # transitions, two frames each
SECONDS = 0.5  # wall time of one measurement
EPISODES = 5  # that Minari is asked for at a time, 505 frames


def make_arms(pixels: int) -> dict[str, Callable[[], int]]:
    """Name -> a function that samples once and returns the number of frames it made."""
    load(SOURCE_ID)
    exported = minari.load_dataset(collect.export_pixels(SOURCE_ID, pixels=pixels))
    exported.set_seed(0)
    store = open_store(SOURCE_ID, View(image_size=pixels), workers=1)

    def by_minari() -> int:
        return sum(len(episode.observations) for episode in exported.sample_episodes(EPISODES))

    def by_sampler(pad: int) -> Callable[[], int]:
        sampler = TransitionSampler(store, batch_size=BATCH, pad=pad, rng=np.random.default_rng(0))
        return lambda: sum(len(frames) for frames in sampler.sample()[::2])

    return {"minari": by_minari, "store": by_sampler(0), "store, random shift 8": by_sampler(8)}


def measure(arm: Callable[[], int]) -> dict[str, float]:
    frames, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < SECONDS:
        frames += arm()
    return {
        "frames_per_s": frames / (time.perf_counter() - wall),
        "frames_per_cpu_s": frames / (time.process_time() - cpu),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Sampling from the pixel store against Minari.")
    parser.add_argument("--json", type=Path, help="also write every measurement to this file")
    parser.add_argument("--pixels", type=int, default=84)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MINARI_DATASETS_PATH"] = f"{folder}/minari"
        os.environ["LATENTCTX_CACHE"] = f"{folder}/cache"
        arms = make_arms(arguments.pixels)
        for arm in arms.values():
            measure(arm)  # warm caches
        runs = [{name: measure(arm) for name, arm in arms.items()} for _ in range(arguments.repeats)]
    for name in arms:
        wall, cpu = (
            statistics.median(run[name][key] for run in runs) for key in ("frames_per_s", "frames_per_cpu_s")
        )
        print(f"{name:<22} {wall:>10,.0f} frames/s  {cpu:>10,.0f} frames/CPU s")
    for name in list(arms)[1:]:
        ratios = {
            key: statistics.median(run[name][key] / run["minari"][key] for run in runs)
            for key in ("frames_per_s", "frames_per_cpu_s")
        }
        print(
            f"ratio {name} / minari: {ratios['frames_per_s']:.1f} ({ratios['frames_per_cpu_s']:.1f} by CPU time)"
        )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"pixels": arguments.pixels, "runs": runs}, indent=2) + "\n")


if __name__ == "__main__":
    main()
