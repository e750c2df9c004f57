"""Planning: draw latents from the prior, foretell with each, keep the one whose future comes nearest to the goal."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentctx_agents.pvdr.distance import Distance
from latentctx_agents.pvdr.model import DynamicsModel


class Plan(NamedTuple):
    """What was chosen for each of b environments."""

    latent: Tensor  # (b, z)
    future: Tensor  # tokens int64 (b, n, 64) that it foretells
    left: Tensor  # (b, n) distances of these frames to the goal; it has the least of all plans


class Planner:
    """Chooses a latent for each environment, all of them in one batch.

    Args:
        model: of the dynamics.
        distance: of tokens to a goal's.
        count: latents that are drawn for each environment; with one there is nothing to choose.
        rng: draws them.
        random: share of decisions for which a random latent is kept instead of the best; for exploration.
    """

    def __init__(
        self,
        model: DynamicsModel,
        distance: Distance,
        *,
        count: int,
        rng: np.random.Generator,
        random: float = 0.0,
    ) -> None:
        if count < 1 or not 0.0 <= random <= 1.0:
            raise ValueError(f"count starts at 1 and random lies in [0, 1]; got {count} and {random}.")
        self.model, self.distance = model, distance
        self.count, self.random, self._rng = count, random, rng

    @torch.inference_mode()
    def plan(self, context: Tensor, goal: Tensor, scale: Tensor) -> Plan:
        """The chosen plan of each environment.

        Args:
            context: tokens int64 (b, m, 64).
            goal: tokens int64 (b, 64).
            scale: of the distances, (b, k).
        """
        size = (len(context), self.count, self.model.config.latent)
        noise = torch.from_numpy(self._rng.standard_normal(size, dtype=np.float32)).to(context.device)
        latents = self.model.draw(context, noise)
        left = self.distance.of_plans(self.model, context, latents, goal, scale)
        best = left.amin(dim=-1).argmin(dim=1)
        if self.random > 0.0:
            astray = torch.from_numpy(self._rng.random(len(context)) < self.random).to(best.device)
            other = torch.from_numpy(self._rng.integers(self.count, size=len(context))).to(best.device)
            best = torch.where(astray, other, best)
        rows = torch.arange(len(context), device=context.device)
        latent = latents[rows, best]
        return Plan(latent, self.model.plans(context, latent), left[rows, best])
