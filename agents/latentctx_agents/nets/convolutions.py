"""The convolutions from vectors to frames of 64 pixels that Dreamer and AIME use."""

from torch import Tensor, nn

from latentctx_envs.encoders.latent.gaussian import Normal
from latentctx_envs.encoders.latent.images import SIDE


class ImageDecoder64(nn.Module):
    """Vectors (..., i) -> normal distributions over frames / 255, (..., 3, 64, 64), of standard deviation 1."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, 1024)
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(1024, 128, 5, 2), nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 5, 2), nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 6, 2), nn.ReLU(),
            nn.ConvTranspose2d(32, 3, 6, 2), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, vectors: Tensor) -> Normal:
        """The distributions; their standard deviation is one number, not a frame of ones."""
        seed = self.dense(vectors).reshape(-1, 1024, 1, 1)
        frames = self.layers(seed).reshape(*vectors.shape[:-1], 3, SIDE, SIDE)
        return Normal(frames, frames.new_ones(()))
