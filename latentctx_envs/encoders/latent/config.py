"""What a world model is made of: the two configurations of AIME (NeurIPS 2023), and one for two cores."""

from dataclasses import dataclass
from typing import Literal

Reweight = Literal["none", "dimension"]


@dataclass(frozen=True, kw_only=True)
class WorldModelConfig:
    """A recurrent state-space model with Gaussian latents.

    Raises:
        ValueError: a number is out of range, or two choices exclude one another.
    """

    deter: int = 512  # deterministic part h of the latent state
    stoch: int = 128  # stochastic part z
    hidden: tuple[int, ...] = (128, 128)  # of prior, posterior and decoders of vectors
    embed_hidden: tuple[int, ...] = ()  # of the encoder of vectors; none: they are their own embedding
    activation: Literal["elu", "silu"] = "elu"
    norm: bool = False  # layer norm before each activation
    separate_std: bool = True  # a network of its own for each standard deviation
    gru_input: bool = False  # a layer in front of the recurrent cell
    std: Literal["softplus", "sigmoid"] = "softplus"  # of latents: at least 1e-6, or in (0.1, 2.1)
    learned_std: bool = True  # of decoded vectors; else 1
    reweight: Reweight = "dimension"  # beta-NLL: log-likelihoods weighted by their own standard deviation
    kl_scale: float = 1.0
    free_nats: float = 0.0  # a step's divergence below it teaches nothing
    kl_balance: float | None = None  # share of the divergence that moves the prior; None: no split
    image_size: int = 64  # of pixels, the only size that the convolutions take

    def __post_init__(self) -> None:
        """Accept JSON's lists and refuse what cannot be built in words."""
        for name in ("hidden", "embed_hidden"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if min(self.deter, self.stoch, *self.hidden, *self.embed_hidden) < 1 or not self.hidden:
            raise ValueError("deter, stoch and at least one hidden width start at 1.")
        if self.separate_std and self.norm:
            raise ValueError("separate_std is for networks without norm.")
        if self.kl_scale < 0.0 or self.free_nats < 0.0:
            raise ValueError(f"kl_scale and free_nats start at 0; got {self.kl_scale} and {self.free_nats}.")
        if self.kl_balance is not None and not 0.0 <= self.kl_balance <= 1.0:
            raise ValueError(f"kl_balance lies in [0, 1], or is None; got {self.kl_balance}.")
        if self.image_size != 64:
            raise ValueError(f"the convolutions take frames of 64 pixels; got image_size={self.image_size}.")

    @property
    def features(self) -> int:
        """Length of a latent state, h and z."""
        return self.deter + self.stoch


RSSM = WorldModelConfig()
"""The paper's for the walker (its code's "rssm")."""

RSSMO = WorldModelConfig(
    stoch=30, hidden=(512, 512), embed_hidden=(512, 512), activation="silu", norm=True, separate_std=False,
    gru_input=True, std="sigmoid", learned_std=False, reweight="none", free_nats=1.0, kl_balance=0.8,
)  # fmt: skip
"""The paper's for the cheetah (its code's "rssmo"). Prior and posterior have one hidden layer there."""

QUICK = WorldModelConfig(deter=128, stoch=32, hidden=(64, 64))
"""The walker's, as small as two cores want it."""

LARGER = WorldModelConfig(deter=256, stoch=64, hidden=(128, 128))
"""The walker's with twice the latent state, half of the paper's."""
