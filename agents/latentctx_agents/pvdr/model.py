"""The conditional variational autoencoder over tokens: posterior, prior and decoder of one z for each window.

    posterior  z ~ q(. | context, future)       prior  z ~ p(. | context)       future ~ D(. | context, z)

The decoder starts from the last seen frame and foretells all future frames at once.
"""

import torch
from torch import Tensor, nn

from latentctx_envs.encoders.dynamics.blocks import (
    INIT_STD,
    Block,
    Pool,
    TokenEmbedding,
    Trunk,
    merged,
    split_up,
)
from latentctx_envs.encoders.dynamics.config import GRID, DynamicsConfig
from latentctx_envs.encoders.dynamics.encoder import ContextTrunk
from latentctx_envs.encoders.latent.gaussian import Normal

LOG_VARIANCE = (-8.0, 4.0)  # its range
COPY_START = 4.0  # first size of the logit that keeps a token


class GaussianHead(nn.Module):
    """A pooled vector (b, d) -> a normal distribution of z; `last` is the layer that online training moves."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU())
        self.last = nn.Linear(2 * width, 2 * latent)

    def forward(self, pooled: Tensor) -> Normal:
        """The distribution."""
        mean, log_variance = self.last(self.hidden(pooled)).chunk(2, dim=-1)
        return Normal(mean.float(), (0.5 * log_variance.float().clamp(*LOG_VARIANCE)).exp())


class Posterior(nn.Module):
    """z of a whole window."""

    def __init__(self, config: DynamicsConfig) -> None:
        super().__init__()
        self.trunk = Trunk(config, config.posterior_blocks, config.window, changes=True)
        self.pool = Pool(config.width, config.heads)
        self.head = GaussianHead(config.width, config.latent)

    def forward(self, window: Tensor) -> Normal:
        """Tokens (b, m + n, 64) -> z (b, z)."""
        return self.head(self.pool(self.trunk(window)))


class Prior(nn.Module):
    """z before the future is seen."""

    def __init__(self, config: DynamicsConfig) -> None:
        super().__init__()
        self.features = ContextTrunk(config)  # tokens (b, m, 64) -> (b, d)
        self.head = GaussianHead(config.width, config.latent)

    def forward(self, context: Tensor) -> Normal:
        """Tokens (b, m, 64) -> z (b, z)."""
        return self.head(self.features(context))


class Retelling(nn.Module):
    """The seen frames out of the context's features, so that these hold where things are.

    The divergence alone teaches features only what foretells z. Nothing is acted with or foretold by this.
    """

    def __init__(self, config: DynamicsConfig) -> None:
        super().__init__()
        each = config.width // config.merge**2
        self._shape = (config.context, GRID * GRID, each)
        self.where = nn.Linear(config.width, config.context * GRID * GRID * each)
        self.tokens = nn.Parameter(INIT_STD * torch.randn(each, config.tokenizer.codes))
        self.usual = nn.Parameter(torch.zeros(GRID * GRID, config.tokenizer.codes))

    def forward(self, features: Tensor) -> Tensor:
        """(b, d) -> logits (b, m, 64, codes)."""
        return self.where(features).unflatten(-1, self._shape) @ self.tokens + self.usual


class Decoder(nn.Module):
    """Context and z -> logits of the tokens of all future frames."""

    def __init__(self, config: DynamicsConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = TokenEmbedding(config, config.window)
        self.blocks = nn.Sequential(
            *(Block(config.width, config.heads) for _ in range(config.decoder_blocks))
        )
        self.future = nn.Parameter(INIT_STD * torch.randn(config.width))
        self.plan = nn.Linear(config.latent, config.positions * config.width) if config.latent else None
        self.norm = nn.LayerNorm(config.width)
        self.output = nn.Linear(config.width, config.merge**2 * config.tokenizer.codes)
        self.copy = nn.Parameter(torch.tensor(COPY_START))

    def forward(self, context: Tensor, latent: Tensor) -> Tensor:
        """Tokens (b, m, 64) and z (b, z) -> logits (b, n, 64, codes)."""
        logits = split_up(self._logits(context, latent), self.config.merge)
        kept = context[:, -1:].expand(-1, self.config.future, -1)[..., None]
        return logits.scatter_add(-1, kept, self.copy.expand(kept.shape).to(logits.dtype))

    @torch.no_grad()
    def likeliest(self, context: Tensor, latent: Tensor) -> Tensor:
        """The token with the largest logit, int64 (b, n, 64); logits are neither sorted nor copied for it."""
        merge = self.config.merge
        logits = self._logits(context, latent).unflatten(-1, (merge * merge, -1))
        kept = merged(context[:, -1:, :, None], merge).expand(-1, self.config.future, -1, -1)
        best = _argmax(logits)
        largest = logits.gather(-1, best[..., None])[..., 0]
        stays = logits.gather(-1, kept[..., None])[..., 0] + self.copy > largest
        return split_up(torch.where(stays, kept, best), merge)[..., 0]

    @torch.no_grad()
    def expected(self, context: Tensor, latent: Tensor, table: Tensor) -> Tensor:
        """What the foretold tokens have in a table (codes, c) on average, (b, n, 64, c).

        Where the likeliest token is background, what else a patch may be still counts for its share.
        """
        merge = self.config.merge
        logits = self._logits(context, latent).unflatten(-1, (merge * merge, -1))
        kept = merged(context[:, -1:, :, None], merge).expand(-1, self.config.future, -1, -1)[..., None]
        logits.scatter_add_(-1, kept, self.copy.expand(kept.shape).to(logits.dtype))
        return split_up((logits.float().softmax(dim=-1) @ table).flatten(-2), merge)

    def _logits(self, context: Tensor, latent: Tensor) -> Tensor:
        """Logits before the one that keeps a token, square by square: (b, n, p, merge * merge * codes)."""
        config = self.config
        tokens = torch.cat([context, context[:, -1:].expand(-1, config.future, -1)], dim=1)
        values = self.embedding(tokens)
        slot = self.future.expand(config.positions, -1)
        if self.plan is not None:
            slot = slot + self.plan(latent).view(-1, 1, config.positions, config.width)
        future = values[:, config.context :] + slot
        values = self.blocks(torch.cat([values[:, : config.context], future], dim=1))[:, config.context :]
        return self.output(self.norm(values))


def _argmax(values: Tensor) -> Tensor:
    """`values.argmax(-1)`; on a CPU by NumPy, which takes an eighth of the time."""
    if values.device.type != "cpu":
        return values.argmax(dim=-1)
    return torch.from_numpy(values.float().numpy().argmax(axis=-1))


class DynamicsModel(nn.Module):
    """Posterior, prior and decoder, and what teaches the prior's features; without a latent only the decoder.

    Args:
        config: sizes.
    """

    def __init__(self, config: DynamicsConfig) -> None:
        super().__init__()
        self.config = config
        self.decoder = Decoder(config)
        self.prior = Prior(config) if config.latent else None
        self.posterior = Posterior(config) if config.latent else None
        self.retelling = Retelling(config) if config.latent else None

    def plans(self, context: Tensor, latents: Tensor) -> Tensor:
        """The likeliest future tokens (b, n, 64) of contexts (b, m, 64) and z (b, z)."""
        return self.decoder.likeliest(context, latents)

    def sample(self, context: Tensor, count: int, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Plans of `count` draws of z from the prior.

        Args:
            context: tokens (b, m, 64).
            count: draws for each context.
            noise: standard normal (b, count, z).

        Returns:
            z (b, count, z) and future tokens (b, count, n, 64).
        """
        latents = self.draw(context, noise)
        repeated = context[:, None].expand(-1, count, -1, -1).flatten(0, 1)
        return latents, self.plans(repeated, latents.flatten(0, 1)).unflatten(0, (-1, count))

    def draw(self, context: Tensor, noise: Tensor) -> Tensor:
        """Draws of z from the prior, (b, count, z); see `sample`."""
        assert self.prior is not None
        prior = self.prior(context)
        return prior.mean[:, None] + prior.std[:, None] * noise


def split(window: Tensor, config: DynamicsConfig) -> tuple[Tensor, Tensor]:
    """Context (b, m, 64) and future (b, n, 64) of windows (b, m + n, 64)."""
    return window[:, : config.context], window[:, config.context :]
