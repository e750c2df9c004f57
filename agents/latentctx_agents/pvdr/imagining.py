"""Whole films that a video model imagines from one frame: windows foretold one after another, and the goal to choose by.

A model that saw demonstrations foretells what a demonstrator would do next, the detours included. What it foretells becomes
the context of the next window, several films side by side; the one that comes nearest to the goal's picture is kept that far.
"""

import numpy as np
import torch

from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.tokens import tokens_of
from latentctx_envs.goal_images import image_distance


class Imagination:
    """Films from where a body is to a picture of a goal; `film` is what `GoalPolicy` follows.

    Args:
        model: foretells.
        rng: draws latents.
        films: imagined for each goal; the first takes the prior's mean in each window, the others draw.
        windows: foretold one after another, of n frames each.

    Raises:
        ValueError: the model has no latent, or a number is below 1.
    """

    def __init__(
        self, model: VideoModel, rng: np.random.Generator, *, films: int = 16, windows: int = 15
    ) -> None:
        if films < 1 or windows < 1:
            raise ValueError(f"films and windows start at 1; got {films} and {windows}.")
        if model.dynamics.prior is None:
            raise ValueError(
                "a model without a latent imagines one future only; it has no prior to draw from."
            )
        self.films, self.windows = films, windows
        self._model, self._prior, self._rng = model.eval(), model.dynamics.prior, rng

    def film(self, frame: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """Frames uint8 (t, 64, 64, 3), the imagined ones from `frame` on and `goal` as the last.

        Args:
            frame: what is seen now, uint8 (64, 64, 3).
            goal: the picture, of the same shape.
        """
        frames = self.imagined(frame)
        left = image_distance(frames, np.broadcast_to(goal, frames.shape))
        best = int(left.min(axis=1).argmin())
        return np.concatenate([frames[best, : int(left[best].argmin()) + 1], goal[None]])

    @torch.inference_mode()
    def imagined(self, frame: np.ndarray) -> np.ndarray:
        """All films, as the tokens draw them, uint8 (films, 1 + windows n, 64, 64, 3)."""
        tokenizer, dynamics = self._model.tokenizer, self._model.dynamics
        seen = self._model.config.context
        tokens = tokens_of(tokenizer, frame[None])
        context = tokens.expand(self.films, seen, -1)
        parts = [context[:, -1:]]
        for _ in range(self.windows):
            prior = self._prior(context)
            noise = self._rng.standard_normal(tuple(prior.mean.shape), dtype=np.float32)
            noise[0] = 0.0
            parts.append(dynamics.plans(context, prior.sample(torch.from_numpy(noise))))
            context = torch.cat([context, parts[-1]], dim=1)[:, -seen:]
        film = torch.cat(parts, dim=1)
        return tokenizer.pixels(film.flatten(0, 1)).unflatten(0, film.shape[:2]).numpy()
