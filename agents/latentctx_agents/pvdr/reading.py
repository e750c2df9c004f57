"""What the alignment module reads of a plan: its latent, or the frame that it leads to."""

from typing import Literal, Protocol

import torch
from torch import Tensor

from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.model import DynamicsModel, split
from latentctx_envs.encoders.dynamics.config import GRID

Reads = Literal["plan", "latent"]


class Reading(Protocol):
    """How a context and a plan become numbers, and a context and what followed it the same numbers."""

    size: int  # how many numbers
    planes: int  # of 8 x 8 tokens, if that is what they are; 0 for a plain vector

    def of_plan(self, context: Tensor, latent: Tensor, future: Tensor) -> Tensor:
        """Of tokens (b, m, 64), z (b, z) and the tokens (b, n, 64) that it foretells; (b, size)."""
        ...

    def of_window(self, window: Tensor) -> Tensor:
        """Of tokens (b, m + n, 64), whose z is drawn from the posterior; (b, size)."""
        ...


class LatentReading:
    """The context's features and z, as a summary of the paper has it.

    Args:
        model: in use; what it learns meanwhile counts from then on.
    """

    def __init__(self, model: VideoModel) -> None:
        self._dynamics = model.dynamics
        self.size, self.planes = model.config.width + model.config.latent, 0

    def of_plan(self, context: Tensor, latent: Tensor, future: Tensor) -> Tensor:
        """See `Reading`."""
        assert self._dynamics.prior is not None
        return torch.cat([self._dynamics.prior.features(context), latent], dim=1)

    def of_window(self, window: Tensor) -> Tensor:
        """See `Reading`."""
        return self.of_plan(split(window, self._dynamics.config)[0], drawn(self._dynamics, window), window)


class PlanReading:
    """The last seen frame and the last foretold one, as standardised codebook vectors (2 c, 8, 8), flat.

    z means something together with a context alone, and takes many examples to be read. The frame that it leads to
    holds the same, spelled out.

    Args:
        model: in use; its tokenizer must stay as it is.
    """

    def __init__(self, model: VideoModel) -> None:
        self._dynamics = model.dynamics
        codes = model.tokenizer.encoder.codebook.detach()
        self._vectors = (codes - codes.mean(dim=0)) / codes.std(dim=0).clamp_min(1e-6)
        self.planes = 2 * codes.shape[1]
        self.size = self.planes * GRID * GRID

    def of_plan(self, context: Tensor, latent: Tensor, future: Tensor) -> Tensor:
        """See `Reading`."""
        frames = torch.stack([context[:, -1], future[:, -1]], dim=1)
        return self._vectors[frames].movedim(-1, 2).flatten(1)

    def of_window(self, window: Tensor) -> Tensor:
        """See `Reading`; the frame is what the drawn z foretells, as in acting, not what came."""
        context, _ = split(window, self._dynamics.config)
        latent = drawn(self._dynamics, window)
        return self.of_plan(context, latent, self._dynamics.plans(context, latent))


def reading_of(model: VideoModel, reads: Reads) -> Reading:
    """The reading of this name."""
    return PlanReading(model) if reads == "plan" else LatentReading(model)


def drawn(dynamics: DynamicsModel, window: Tensor) -> Tensor:
    """Z (b, z) of windows, drawn from the posterior."""
    assert dynamics.posterior is not None
    posterior = dynamics.posterior(window)
    return posterior.sample(torch.randn_like(posterior.mean))
