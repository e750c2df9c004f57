"""Films of rollouts, the hidden context drawn in where it has a place, for the viewer only."""

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image, ImageDraw

from latentctx_envs.rollout import Policy, rollout

SIZE = 160  # [pixels] side of a tile
EVERY = 2  # every second step is shown
MOST = 150  # frames; of longer films fewer steps are shown
BANNER = 18  # [pixels] height of a tile's title


def film(policy: Policy, env: gym.Env[Any, Any], title: str, reset: Mapping[str, Any]) -> np.ndarray:
    """Frames of one episode, uint8 (t, SIZE + BANNER, SIZE, 3), the border green once it succeeded.

    Args:
        policy: acts.
        env: an environment that renders ("rgb_array"); it is closed.
        title: of the tile.
        reset: keyword arguments of the environment's reset.
    """
    tiles, success = [], False
    for step in rollout(env, policy, [reset]):
        success |= bool(step.next_info.get("success", False))
        if (step.time + 1) % EVERY == 0 or step.last:
            picture = env.render()
            assert isinstance(picture, np.ndarray)
            tiles.append(_tile(picture, title, success))
    env.close()
    kept = np.linspace(0, len(tiles) - 1, min(len(tiles), MOST)).round().astype(int)
    return np.stack(tiles)[kept]


def viewed(make: Callable[..., gym.Env[Any, Any]]) -> gym.Env[Any, Any]:
    """An environment to film, its context drawn in if it has a place.

    Args:
        make: an environment with further keyword arguments.
    """
    try:
        return make(render_mode="rgb_array", render_context=True)
    except TypeError:  # its context has no place
        return make(render_mode="rgb_array")


def _tile(frame: np.ndarray, title: str, success: bool) -> np.ndarray:
    picture = Image.fromarray(frame).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    tile = Image.new("RGB", (SIZE, SIZE + BANNER), (255, 255, 255))
    tile.paste(picture, (0, BANNER))
    draw = ImageDraw.Draw(tile)
    draw.text((4, 3), title, fill=(0, 0, 0))
    if success:
        draw.rectangle((0, BANNER, SIZE - 1, SIZE + BANNER - 1), outline=(40, 200, 80), width=4)
    return np.asarray(tile)
