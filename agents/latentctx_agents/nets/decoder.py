"""The image decoder of explicit forward dynamics (arXiv 2305.16985)."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from latentctx_envs.encoders.convnet import lecun_normal_

CHANNELS = (256, 128, 64, 32)  # of the 3x3 transposed convolutions
STRIDES = (1, 1, 2, 2)
LAST_KERNEL = 2  # of the final transposed convolution, stride 1, to RGB
SEED_CHANNELS = 2


class ImageDecoder(nn.Module):
    """Vector -> image / 255 - 0.5: dense to an E x E x 2 seed, four 3x3 transposed convolutions, a 2x2 one.

    The smallest E is taken whose output covers the image; what is over is cut off. The paper's frames of 84 and
    120 pixels give its E = 16 and 25.

    Args:
        inputs: length of the vector.
        image_size: (height, width) [pixels].
        width: factor on the channels; 1 is the paper's.
    """

    def __init__(self, inputs: int, image_size: tuple[int, int], *, width: float = 1.0) -> None:
        super().__init__()
        self._image_size = image_size
        self._seed = next(e for e in range(1, max(image_size) + 1) if decoded_size(e) >= max(image_size))
        channels = [max(8, round(width * c)) for c in CHANNELS]
        self.dense = nn.Linear(inputs, self._seed * self._seed * SEED_CHANNELS)
        layers: list[nn.Module] = []
        before = SEED_CHANNELS
        for count, stride in zip(channels, STRIDES, strict=True):
            layers += [nn.ConvTranspose2d(before, count, 3, stride), nn.GELU("tanh")]
            before = count
        layers.append(nn.ConvTranspose2d(before, 3, LAST_KERNEL))
        self.layers = nn.Sequential(*layers)
        self.apply(lecun_normal_)

    def forward(self, vector: Tensor) -> Tensor:
        """Image (B, 3, H, W) in about [-0.5, 0.5] of a vector (B, inputs)."""
        seed = F.gelu(self.dense(vector), approximate="tanh")
        maps = self.layers(seed.view(-1, SEED_CHANNELS, self._seed, self._seed))
        height, width = self._image_size
        return maps[:, :, :height, :width]


def decoded_size(seed: int) -> int:
    """Side of the image [pixels] that a seed of E x E grows to."""
    size = seed
    for stride in STRIDES:
        size = (size - 1) * stride + 3
    return size - 1 + LAST_KERNEL


def target_image(pixels: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) -> what the decoder should give: pixels/255 - 0.5 as (B, 3, H, W)."""
    return pixels.permute(0, 3, 1, 2).to(torch.float32) / 255.0 - 0.5
