"""Draw the pictures of the docs: `python docs/pictures.py`."""

from pathlib import Path

import gymnasium as gym
import numpy as np
from PIL import Image, ImageDraw

import latentctx_envs  # noqa: F401  registers the ids
from latentctx_envs.rendering import PROFILES

IMAGES = Path(__file__).parent / "images"
TILE = 252  # [pixels]
STATE = (0.0, 0.13, 0.17, 0.0, 0.0)  # time, x, y, vx, vy
CONTEXT = {"goal": (-0.18, -0.1)}


def tile(frame: np.ndarray, title: str) -> np.ndarray:
    """A frame enlarged without smoothing, under its title."""
    picture = Image.new("RGB", (TILE + 8, TILE + 24), (255, 255, 255))
    picture.paste(Image.fromarray(frame).resize((TILE, TILE), Image.Resampling.NEAREST), (4, 20))
    ImageDraw.Draw(picture).text((6, 4), title, fill=(0, 0, 0))
    return np.asarray(picture)


def frame(size: int, profile: str, **kwargs: object) -> np.ndarray:
    """One observed frame of the point mass."""
    with gym.make(
        "LatentCtx-PointMass-v0", observation="pixels", image_size=size, render_profile=profile, **kwargs
    ) as env:
        return env.unwrapped.frame(np.array(STATE), CONTEXT)  # type: ignore[attr-defined]


def point_mass_profiles() -> None:
    """One state in every profile at two sizes, and with the goal drawn."""
    rows = [
        [tile(frame(size, profile), f"{profile}, {size} px") for profile in PROFILES]
        + [tile(frame(size, "fast", goal_visible=True), f"fast, {size} px, goal_visible")]
        for size in (48, 84)
    ]
    picture = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    Image.fromarray(picture).save(IMAGES / "point_mass_profiles.png", optimize=True)


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    point_mass_profiles()
