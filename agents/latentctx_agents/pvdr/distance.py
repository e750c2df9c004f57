"""How far tokens are from a goal's: in colours, as `image_distance` blurs them, in the codebook, or in actions."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from latentctx_agents.pvdr.action_metric import ActionMetric
from latentctx_agents.pvdr.model import DynamicsModel
from latentctx_agents.pvdr.tokenizer import Tokenizer
from latentctx_envs.encoders.dynamics.config import GRID, PATCH

LEAST = 1e-6  # of what distances are divided by


class Distance(ABC):
    """Some kinds of distance, each as a share of that at an episode's start, and their mean.

    Attributes:
        kinds: k, how many.
    """

    kinds = 1

    def of_plans(
        self, model: DynamicsModel, context: Tensor, latents: Tensor, goal: Tensor, scale: Tensor
    ) -> Tensor:
        """The distances of foretold frames to the goal, (b, p, n).

        Args:
            model: foretells.
            context: tokens (b, m, 64).
            latents: z of p plans for each context, (b, p, z).
            goal: tokens (b, 64).
            scale: (b, k).
        """
        repeated = context[:, None].expand(-1, latents.shape[1], -1, -1)
        futures = model.plans(repeated.flatten(0, 1), latents.flatten(0, 1)).unflatten(0, latents.shape[:2])
        return self(futures, goal[:, None, None], scale[:, None, None])

    def missed(
        self, model: DynamicsModel, context: Tensor, latent: Tensor, future: Tensor, came: Tensor
    ) -> Tensor:
        """All kinds, (b, k), between what came and the next frame of a plan.

        Args:
            model: foretold.
            context: tokens (b, m, 64).
            latent: z of one plan for each context, (b, z).
            future: tokens (b, n, 64) that it foretold.
            came: tokens (b, 64).
        """
        return self.parts(came, future[:, 0])

    @abstractmethod
    def parts(self, tokens: Tensor, goal: Tensor) -> Tensor:
        """All kinds, (..., k), between tokens (..., 64), broadcast."""

    def scale(self, start: Tensor, goal: Tensor) -> Tensor:
        """What the distances of an episode are divided by, (..., k)."""
        return self.parts(start, goal).clamp_min(LEAST)

    def __call__(self, tokens: Tensor, goal: Tensor, scale: Tensor) -> Tensor:
        """The mean of all shares, (...)."""
        return (self.parts(tokens, goal) / scale).mean(dim=-1)


class ActionDistance(Distance):
    """Full actions from one frame to another, as a metric has learned to tell (`ActionMetric`).

    Args:
        metric: in use; what it learns meanwhile counts from then on.
    """

    def __init__(self, metric: ActionMetric) -> None:
        self._metric = metric

    def parts(self, tokens: Tensor, goal: Tensor) -> Tensor:
        """See `Distance`."""
        return (self._metric(tokens) - self._metric(goal)).norm(dim=-1, keepdim=True)

    def of_plans(
        self, model: DynamicsModel, context: Tensor, latents: Tensor, goal: Tensor, scale: Tensor
    ) -> Tensor:
        """See `Distance` and `ActionMetric.foretold`."""
        places = self._metric.foretold(model, context, latents)
        return (places - self._metric(goal)[:, None, None]).norm(dim=-1) / scale[:, None]

    def missed(
        self, model: DynamicsModel, context: Tensor, latent: Tensor, future: Tensor, came: Tensor
    ) -> Tensor:
        """See `Distance` and `ActionMetric.foretold`."""
        place = self._metric.foretold(model, context, latent[:, None])[:, 0, 0]
        return (self._metric(came) - place).norm(dim=-1, keepdim=True)


class JointDistance(Distance):
    """Several distances side by side.

    Args:
        distances: which.
    """

    def __init__(self, distances: Sequence[Distance]) -> None:
        self._distances = tuple(distances)
        self.kinds = sum(distance.kinds for distance in self._distances)

    def of_plans(
        self, model: DynamicsModel, context: Tensor, latents: Tensor, goal: Tensor, scale: Tensor
    ) -> Tensor:
        """See `Distance`; each in its own way."""
        kinds = [distance.kinds for distance in self._distances]
        each = zip(self._distances, kinds, scale.split(kinds, dim=-1), strict=True)
        weighted = [n * d.of_plans(model, context, latents, goal, part) for d, n, part in each]
        return torch.stack(weighted).sum(dim=0) / self.kinds

    def missed(
        self, model: DynamicsModel, context: Tensor, latent: Tensor, future: Tensor, came: Tensor
    ) -> Tensor:
        """See `Distance`."""
        return torch.cat([d.missed(model, context, latent, future, came) for d in self._distances], dim=-1)

    def parts(self, tokens: Tensor, goal: Tensor) -> Tensor:
        """See `Distance`."""
        return torch.cat([distance.parts(tokens, goal) for distance in self._distances], dim=-1)


class TokenDistance(Distance):
    """Mean squared differences of what two frames' tokens stand for.

    A token stands for a patch of 8 px, and so do the blocks that `image_distance` averages: a table of the mean colour
    that each token stood for gives the distance of a foretold frame without drawing it.

    Args:
        tokenizer: whose tokens.
        colours: of its tokens, (codes, 3); see `colours_of`.
    """

    kinds = 2

    def __init__(self, tokenizer: Tokenizer, colours: Tensor) -> None:
        self._codes, self.colours = tokenizer.encoder.codebook, colours

    def parts(self, tokens: Tensor, goal: Tensor) -> Tensor:
        """See `Distance`: of colours, and of the codebook's vectors."""
        return torch.stack(
            [
                (table[tokens] - table[goal]).square().mean(dim=(-2, -1))
                for table in (self.colours, self._codes)
            ],
            dim=-1,
        )


Near = Literal["actions", "tokens", "both"]  # names of distances


def distance_of(near: Near, tokens: TokenDistance, metric: ActionMetric) -> Distance:
    """The distance of this name."""
    actions = ActionDistance(metric)
    return {"actions": actions, "tokens": tokens, "both": JointDistance([actions, tokens])}[near]


@torch.no_grad()
def colours_of(tokenizer: Tokenizer, pictures: np.ndarray) -> Tensor:
    """Mean colour in [0, 1] of the patches that each token stood for in frames uint8 (f, 64, 64, 3); (codes, 3).

    A token that never occurs has the colour of a frame that is made of it alone.
    """
    device = tokenizer.encoder.codebook.device
    frames = torch.from_numpy(np.ascontiguousarray(pictures)).to(device)
    tokens = torch.cat([tokenizer.encoder(part) for part in frames.split(256)]).flatten()
    blocks = frames.view(-1, GRID, PATCH, GRID, PATCH, 3).to(torch.float32).mean(dim=(2, 4)) / 255.0
    count = torch.bincount(tokens, minlength=tokenizer.config.codes)
    total = torch.zeros(tokenizer.config.codes, 3, device=device).index_add_(0, tokens, blocks.flatten(0, 2))
    alone = torch.arange(tokenizer.config.codes, device=device)[:, None].expand(-1, GRID * GRID)
    drawn = tokenizer.pixels(alone).to(torch.float32).mean(dim=(1, 2)) / 255.0
    return torch.where(count[:, None] > 0, total / count[:, None].clamp_min(1), drawn)
