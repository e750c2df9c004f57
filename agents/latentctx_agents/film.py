"""GIFs of rollouts with the hidden context drawn in, for the viewer only."""

import gymnasium as gym
import numpy as np
from PIL import Image, ImageDraw

from latentctx_agents.evaluate import EVALUATION_SEED
from latentctx_agents.policy_folder import FinetunedPolicy
from latentctx_envs.rollout import rollout
from latentctx_envs.wrappers import EncodeObservation

SIZE = 160  # [pixels] side of a tile
EVERY = 2  # every second step is shown
BANNER = 18  # [pixels] height of a tile's title


def film(policy: FinetunedPolicy, title: str, *, seed: int = EVALUATION_SEED) -> np.ndarray:
    """Frames of one episode, uint8 (t, SIZE + BANNER, SIZE, 3), the border green once it succeeded."""
    card = policy.card
    shown = {"render_mode": "rgb_array", "render_context": True, **card.env_kwargs}
    if card.view is None or policy.encoder is None:
        env = gym.make(card.env_id, observation="position", **shown)
    else:
        env = gym.make(card.env_id, observation="pixels", **card.view.arguments(), **shown)
        env = EncodeObservation(env, policy.encoder)
    reset = {"seed": seed, "options": None if card.context is None else {"context": card.context}}
    frames, success = [], False
    for step in rollout(env, policy.policy, [reset]):
        success |= bool(step.next_info["success"])
        if (step.time + 1) % EVERY == 0 or step.last:
            picture = env.render()
            assert isinstance(picture, np.ndarray)
            frames.append(_tile(picture, title, success))
    env.close()
    return np.stack(frames)


def _tile(frame: np.ndarray, title: str, success: bool) -> np.ndarray:
    picture = Image.fromarray(frame).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    tile = Image.new("RGB", (SIZE, SIZE + BANNER), (255, 255, 255))
    tile.paste(picture, (0, BANNER))
    draw = ImageDraw.Draw(tile)
    draw.text((4, 3), title, fill=(0, 0, 0))
    if success:
        draw.rectangle((0, BANNER, SIZE - 1, SIZE + BANNER - 1), outline=(40, 200, 80), width=4)
    return np.asarray(tile)
