"""Pictures of what a video model foretells: true futures, reconstructions and draws; an episode, its plans and its goal."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw

from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.model import split
from latentctx_agents.pvdr.tokens import TokenStore
from latentctx_datasets.videos import Clips

DRAWS = 4  # rows of samples for each clip
SHOWN = 10  # frames of an episode
ZOOM, MARGIN, LABEL = 2, 4, 92  # of frames; [pixels] between clips; [pixels] of the words on the left


class Film(NamedTuple):
    """An episode of t decisions."""

    frames: np.ndarray  # uint8 (t, 64, 64, 3), before each decision
    planned: np.ndarray  # uint8 (t, 64, 64, 3), where the chosen plan leads
    goals: np.ndarray  # uint8 (t, 64, 64, 3)


def draw_episode(film: Film, path: Path) -> None:
    """Write a PNG: frames of an episode, evenly spaced, over where the chosen plans lead and the goal."""
    length = len(film.frames)
    times = np.linspace(0, length - 1, min(SHOWN, length)).round().astype(int)
    rows = [("seen", film.frames[times]), ("planned", film.planned[times]), ("goal", film.goals[times])]
    path.parent.mkdir(parents=True, exist_ok=True)
    _sheet([(name, frames[None]) for name, frames in rows], 0).save(path)


@torch.inference_mode()
def draw_samples(
    model: VideoModel,
    clips: Clips,
    store: TokenStore,
    held_out: np.ndarray,
    stride: int,
    path: Path,
    *,
    seed: int = 0,
) -> None:
    """Write a PNG: for three of the clips `held_out` the true window, its reconstruction and draws from the prior."""
    rng, count = np.random.default_rng(seed), 3
    which = held_out[rng.integers(len(held_out), size=count)]
    span = (model.config.window - 1) * stride + 1
    starts = rng.integers(clips.length - span + 1, size=count)
    frames = clips.windows(which, starts, model.config.window, stride)
    window = store.windows(which, starts, model.config.window, stride)
    context, _ = split(window, model.config)
    seen = frames[:, : model.config.context]
    rows = [("what happened", frames)]
    dynamics = model.dynamics
    if dynamics.prior is None or dynamics.posterior is None:
        plans = dynamics.plans(context, torch.zeros(count, 0))
        rows.append(("foretold", np.concatenate([seen, model.tokenizer.pixels(plans).numpy()], axis=1)))
    else:
        known = dynamics.plans(context, dynamics.posterior(window).mean)
        noise = torch.from_numpy(rng.standard_normal((count, DRAWS, model.config.latent), np.float32))
        _, drawn = dynamics.sample(context, DRAWS, noise)
        futures = [("told z", known), *((f"draw {i + 1}", drawn[:, i]) for i in range(DRAWS))]
        for name, tokens in futures:
            rows.append((name, np.concatenate([seen, model.tokenizer.pixels(tokens).numpy()], axis=1)))
    path.parent.mkdir(parents=True, exist_ok=True)
    _sheet(rows, model.config.context).save(path)


def _sheet(rows: list[tuple[str, np.ndarray]], context: int) -> Image.Image:
    """Rows of (clips, frames, h, w, 3), clip by clip, with their names; a line parts what was seen."""
    count, length, side = rows[0][1].shape[:3]
    size = side * ZOOM
    height = count * (len(rows) * size + MARGIN)
    sheet = Image.new("RGB", (LABEL + length * size, height), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for clip in range(count):
        for number, (name, frames) in enumerate(rows):
            top = clip * (len(rows) * size + MARGIN) + number * size
            strip = Image.fromarray(np.concatenate(list(frames[clip]), axis=1))
            sheet.paste(strip.resize((length * size, size), Image.Resampling.NEAREST), (LABEL, top))
            draw.text((4, top + size // 2 - 6), name, fill=(0, 0, 0))
    draw.line([(LABEL + context * size, 0), (LABEL + context * size, height)], fill=(255, 255, 255), width=3)
    return sheet
