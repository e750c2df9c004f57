"""Draw the pictures of the docs: `python docs/pictures.py`."""

from pathlib import Path

import gymnasium as gym
import mujoco
import numpy as np
from PIL import Image, ImageDraw

import latentctx_envs  # noqa: F401  registers the ids
from latentctx_envs.meta_world import make_sawyer
from latentctx_envs.rendering import PROFILES, Renderer

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


def scenes() -> dict[str, tuple[mujoco.MjModel, mujoco.MjData, str | int]]:
    """Model, physics and camera of one moment in each family."""
    found = {}
    for env_id in ("LatentCtx-PointMass-v0", "LatentCtx-CheetahRun-v0", "LatentCtx-WalkerWalk-v0"):
        base = gym.make(env_id).unwrapped
        base.reset(seed=3)
        for _ in range(12):
            base.step(np.ones(base.action_space.shape))
        name = env_id.removeprefix("LatentCtx-").removesuffix("-v0")
        found[name] = (base.task.model, base._batch.datas[0], 0)  # type: ignore[attr-defined]
    for task in ("reach-v3", "drawer-open-v3"):
        sawyer = make_sawyer(task)
        sawyer.reset(rand_vec=sawyer.sample_rand_vec(np.random.default_rng(0)))
        for _ in range(20):
            sawyer.step(np.array([0.5, 1.0, -0.5, 1.0]))
        found[f"Meta-World {task}"] = (sawyer.model, sawyer.data, "corner2")
    return found


def render_profiles() -> None:
    """Every family in every profile at 84 px, and by how much the profile differs from the reference."""
    rows = []
    for name, (model, data, camera) in scenes().items():
        frames = {
            profile: Renderer(model, size=(84, 84), camera=camera, profile=profile).render(data)
            for profile in PROFILES
        }
        reference = frames["reference"].astype(float)
        row = []
        for profile, frame in frames.items():
            error = np.square(frame - reference).mean()
            fidelity = (
                "" if profile == "reference" else f", {10 * np.log10(255**2 / max(error, 1e-9)):.0f} dB"
            )
            row.append(tile(frame, f"{name}: {profile}{fidelity}"))
        rows.append(np.concatenate(row, axis=1))
    Image.fromarray(np.concatenate(rows)).save(IMAGES / "render_profiles.png", optimize=True)


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    point_mass_profiles()
    render_profiles()
