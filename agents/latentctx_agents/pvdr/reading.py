"""What the alignment module reads of a plan: its latent, the frame that it leads to, or the way there."""

from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from latentctx_agents.pvdr.action_metric import ActionMetric, standardised
from latentctx_agents.pvdr.folder import VideoModel
from latentctx_agents.pvdr.model import DynamicsModel, split
from latentctx_agents.pvdr.trunks import PlanesTrunk, VectorTrunk
from latentctx_envs.encoders.dynamics.config import GRID

Reads = Literal["plan", "latent", "way"]
REACH = 10.0  # [actions] that a place is divided by


class Reading(Protocol):
    """How a context and a plan become numbers, and a context and what followed it the same numbers."""

    size: int  # how many numbers
    outright: int  # the last so many are an action already: nothing has to be learned for them

    def trunk(self, more: int) -> nn.Module:
        """A network that reads them and `more` further ones, as `trunks` has them."""
        ...

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

    outright = 0

    def __init__(self, model: VideoModel) -> None:
        self._dynamics = model.dynamics
        self.size = model.config.width + model.config.latent

    def trunk(self, more: int) -> nn.Module:
        """See `Reading`."""
        return VectorTrunk(self.size + more)

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

    outright = 0

    def __init__(self, model: VideoModel) -> None:
        self._dynamics = model.dynamics
        self._vectors = standardised(model.tokenizer)
        self._planes = 2 * self._vectors.shape[1]
        self.size = self._planes * GRID * GRID

    def trunk(self, more: int) -> nn.Module:
        """See `Reading`."""
        return PlanesTrunk(self._planes, more)

    def of_plan(self, context: Tensor, latent: Tensor, future: Tensor) -> Tensor:
        """See `Reading`."""
        frames = torch.stack([context[:, -1], future[:, -1]], dim=1)
        return self._vectors[frames].movedim(-1, 2).flatten(1)

    def of_window(self, window: Tensor) -> Tensor:
        """See `Reading`; the frame is what the drawn z foretells, as in acting, not what came."""
        context, _ = split(window, self._dynamics.config)
        latent = drawn(self._dynamics, window)
        return self.of_plan(context, latent, self._dynamics.plans(context, latent))


class WayReading:
    """Where the body is, how much it does a step on the way to each foretold frame, and the way to the last, all in actions.

    Args:
        model: in use; its tokenizer must stay as it is.
        metric: in use; what it learns meanwhile counts from then on.
    """

    def __init__(self, model: VideoModel, metric: ActionMetric) -> None:
        self._dynamics, self._metric = model.dynamics, metric
        self._steps = torch.arange(1, model.config.future + 1)[:, None]
        self.outright = metric.place.out_features
        self.size = (2 + model.config.future) * self.outright

    def trunk(self, more: int) -> nn.Module:
        """See `Reading`."""
        return VectorTrunk(self.size + more, norm=False)

    def of_plan(self, context: Tensor, latent: Tensor, future: Tensor) -> Tensor:
        """See `Reading`; places are those of `ActionMetric.foretold`."""
        here = self._metric(context[:, -1])[:, None]
        way = self._metric.foretold(self._dynamics, context, latent[:, None])[:, 0] - here
        return torch.cat([here / REACH, way / self._steps, way[:, -1:].clamp(-1.0, 1.0)], dim=1).flatten(1)

    def of_window(self, window: Tensor) -> Tensor:
        """See `Reading`; what the drawn z foretells, as in acting, not what came."""
        context, _ = split(window, self._dynamics.config)
        return self.of_plan(context, drawn(self._dynamics, window), window)


def reading_of(model: VideoModel, reads: Reads, metric: ActionMetric) -> Reading:
    """The reading of this name; one of them reads places."""
    if reads == "way":
        return WayReading(model, metric)
    return PlanReading(model) if reads == "plan" else LatentReading(model)


def drawn(dynamics: DynamicsModel, window: Tensor) -> Tensor:
    """Z (b, z) of windows, drawn from the posterior."""
    assert dynamics.posterior is not None
    posterior = dynamics.posterior(window)
    return posterior.sample(torch.randn_like(posterior.mean))
