"""Learning of a frame's tokens: the decoder, the loss, and the codebook, which follows averages of what it stands for."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from latentctx_envs.encoders.dynamics.config import GRID, PATCH, TokenizerConfig
from latentctx_envs.encoders.dynamics.tokenizer import FrameEncoder, patches_of

COMMITMENT = 0.25  # weight of the distance between a code and the vector it is rounded to
AVERAGING = 0.98  # of the codebook's moving averages
DEAD = 0.1  # average assignments a batch below which a vector begins anew
MOVING_WEIGHT = 4.0  # further weight of pixels that are not background
BACKGROUND = 0.05 * 2.0  # of the range [-1, 1]: what differs less from the median frame is background


class FrameDecoder(nn.Module):
    """Vectors of a codebook -> frames in [-1, 1]; unlike the encoder it sees across patches.

    Args:
        config: sizes.
    """

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        coarse, fine = config.decoder
        self.layers = nn.Sequential(
            nn.Conv2d(config.code_dim, coarse, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(coarse, coarse, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(coarse, 4 * fine, 3, padding=1),
            nn.PixelShuffle(2),
            nn.GELU(),
            nn.Conv2d(fine, fine, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(fine, 3 * (PATCH // 2) ** 2, 3, padding=1),
            nn.PixelShuffle(PATCH // 2),
        )

    def forward(self, vectors: Tensor) -> Tensor:
        """(b, 64, c) -> (b, 64, 64, 3)."""
        # channels last in memory: two to three times as fast on a CPU, and what the permutation gives anyway
        grid = vectors.unflatten(1, (GRID, GRID)).permute(0, 3, 1, 2)
        return self.layers(grid).permute(0, 2, 3, 1)


class Tokenizer(nn.Module):
    """Encoder, codebook and decoder.

    Args:
        config: sizes.
    """

    assigned: Tensor
    summed: Tensor

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = FrameEncoder(config)
        self.decoder = FrameDecoder(config)
        self.register_buffer("assigned", torch.ones(config.codes))
        self.register_buffer("summed", self.encoder.codebook.clone())

    def pixels(self, tokens: Tensor) -> Tensor:
        """uint8 frames (..., 64, 64, 3) of tokens (..., 64)."""
        flat = self.decoder(self.encoder.vectors(tokens.reshape(-1, GRID * GRID)))
        levels = flat.add(1.0).mul(127.5).round().clamp(0.0, 255.0).to(torch.uint8)
        return levels.view(*tokens.shape[:-1], *levels.shape[1:])

    def loss(self, pixels: Tensor, background: Tensor) -> tuple[Tensor, dict[str, float]]:
        """The loss of uint8 frames (b, 64, 64, 3), and numbers to log; in training the codebook moves as well.

        Errors count as |e| + 4 e^2, five times where a pixel is not of the background (float (64, 64, 3), 0 to 255).
        """
        codes = self.encoder.codes(pixels)
        tokens = self.encoder.nearest(codes.detach())
        vectors = self.encoder.vectors(tokens)
        straight = codes + (vectors - codes).detach()  # gradients pass the rounding
        wanted = pixels.to(torch.float32) / 127.5 - 1.0
        error = self.decoder(straight) - wanted
        moving = (wanted - (background / 127.5 - 1.0)).abs().amax(dim=-1, keepdim=True) > BACKGROUND
        weight = 1.0 + MOVING_WEIGHT * moving
        reconstruction = (weight * (error.abs() + 4.0 * error.square())).mean()
        commitment = F.mse_loss(codes, vectors)
        if self.training:
            self._follow(codes.detach(), tokens)
        psnr = -10.0 * torch.log10((error.detach() / 2.0).square().mean())
        return reconstruction + COMMITMENT * commitment, {
            "psnr": psnr.item(),
            "commitment": commitment.item(),
            "codes_used": float((self.assigned > DEAD).sum()),
        }

    @torch.no_grad()
    def _follow(self, codes: Tensor, tokens: Tensor) -> None:
        """Move each vector to the average of the codes it was assigned; unused ones begin at codes of this batch."""
        flat, indices = codes.flatten(0, 1), tokens.flatten()
        count = torch.bincount(indices, minlength=self.config.codes).to(flat.dtype)
        total = torch.zeros_like(self.summed).index_add_(0, indices, flat)
        self.assigned.lerp_(count, 1.0 - AVERAGING)
        self.summed.lerp_(total, 1.0 - AVERAGING)
        dead = (self.assigned < DEAD).nonzero().flatten()
        if len(dead):
            fresh = flat[torch.randint(len(flat), (len(dead),), device=flat.device)]
            self.assigned[dead] = 1.0
            self.summed[dead] = fresh
        self.encoder.codebook.copy_(self.summed / self.assigned[:, None].clamp_min(1e-5))


@torch.no_grad()
def start_codebook(tokenizer: Tokenizer, pixels: Tensor) -> None:
    """Set the codebook to codes of random patches of uint8 frames (b, 64, 64, 3), so that every vector is near one."""
    flat = tokenizer.encoder.patches(patches_of(pixels)).flatten(0, 1)
    chosen = torch.randint(len(flat), (tokenizer.config.codes,), device=flat.device)
    tokenizer.encoder.codebook.copy_(flat[chosen])
    tokenizer.summed.copy_(flat[chosen])
    tokenizer.assigned.fill_(1.0)
