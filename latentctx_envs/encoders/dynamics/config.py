"""What a model of visual dynamics is made of (PVDR, arXiv 2411.03169; sizes are our choice, the paper's are not public)."""

from dataclasses import dataclass, field

SIDE = 64  # [pixels] of the frames; videos and worlds are made for it
PATCH = 8  # [pixels] side of the patch that one token stands for
GRID = SIDE // PATCH  # tokens along a side of a frame


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """A frame in 8 x 8 tokens of a learned codebook.

    Raises:
        ValueError: a number is out of range.
    """

    codes: int = 512  # of the codebook
    code_dim: int = 16
    hidden: int = 256  # channels of the encoder, which sees one patch at a time
    residuals: int = 2  # its residual layers
    decoder: tuple[int, int] = (96, 48)  # channels of the decoder at 8 x 8 and at 16 x 16

    def __post_init__(self) -> None:
        """Accept JSON's lists and refuse what cannot be built."""
        object.__setattr__(self, "decoder", tuple(self.decoder))
        if min(self.codes, self.code_dim, self.hidden, *self.decoder) < 1 or self.residuals < 0:
            raise ValueError("codes, code_dim, hidden and decoder widths start at 1, residuals at 0.")
        if self.codes > 32_768:
            raise ValueError(f"cached tokens are int16: codes is at most 32,768; got {self.codes}.")


@dataclass(frozen=True, kw_only=True)
class DynamicsConfig:
    """Transformers over the tokens of a window of frames, `context` seen ones and `future` ones.

    Raises:
        ValueError: a number is out of range, or sizes do not divide.
    """

    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    context: int = 2  # m, frames that are seen
    future: int = 4  # n, frames that are foretold, all at once
    width: int = 96  # of a position
    heads: int = 4
    posterior_blocks: int = 2
    prior_blocks: int = 1
    decoder_blocks: int = 2
    merge: int = 2  # side of the square of tokens that make one position; 1 for a position each
    latent: int = 16  # length of z, one for each window; 0 for a model without it

    def __post_init__(self) -> None:
        """Accept JSON's dictionary and refuse what cannot be built in words."""
        if isinstance(self.tokenizer, dict):
            object.__setattr__(self, "tokenizer", TokenizerConfig(**self.tokenizer))
        counts = (self.context, self.future, self.width, self.heads)
        blocks = (self.posterior_blocks, self.prior_blocks, self.decoder_blocks)
        if min(*counts, *blocks) < 1 or self.latent < 0:
            raise ValueError("context, future, width, heads and blocks start at 1, latent at 0.")
        if self.merge < 1 or GRID % self.merge:
            raise ValueError(f"merge must divide {GRID}; got {self.merge}.")
        if self.width % self.heads or self.width % (self.merge * self.merge):
            raise ValueError(
                f"heads and merge x merge must divide width; got width={self.width}, heads={self.heads}, merge={self.merge}."
            )

    @property
    def positions(self) -> int:
        """Positions of a frame."""
        return (GRID // self.merge) ** 2

    @property
    def window(self) -> int:
        """Frames of a window, m + n."""
        return self.context + self.future
