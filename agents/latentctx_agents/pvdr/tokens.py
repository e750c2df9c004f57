"""Clips as tokens: computed once for each (clips, tokenizer), memory-mapped, drawn from as windows.

One folder per (content of the clips, tokenizer's sizes and weights) under `LATENTCTX_CACHE`, so that tokens never meet
another tokenizer than their own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentctx_agents.pvdr.folder import tokenizer_hash
from latentctx_agents.pvdr.tokenizer import Tokenizer
from latentctx_datasets import mapped
from latentctx_datasets.library import DatasetError
from latentctx_datasets.videos import Clips
from latentctx_envs.encoders.dynamics.config import GRID

FORMAT_VERSION = 1
TOKENS = GRID * GRID  # of a frame
BATCH = 512  # frames that are tokenized at once
CHUNK = 64  # clips
KIND = mapped.Kind(
    name="token cache",
    arrays=("tokens",),
    format_version=FORMAT_VERSION,
    remedy="the clips will be tokenized again",
)


class TokenStore:
    """Tokens of a set of clips; open one with `open_tokens`.

    Attributes:
        tokens: int16 (clips, frames, 64), mapped.
    """

    def __init__(self, path: Path, tokenizer: Tokenizer, clips: Clips) -> None:
        manifest = mapped.verified_manifest(path, KIND, lambda m: (m["tokenizer"], m["clips"]))
        if manifest["tokenizer"] != tokenizer_hash(tokenizer) or manifest["clips"] != content_hash(clips):
            raise DatasetError(f"{path} holds tokens of another tokenizer or of other clips: remove it.")
        (self.tokens,) = mapped.open_arrays(path, KIND)

    def windows(self, clips: np.ndarray, starts: np.ndarray, length: int, stride: int) -> Tensor:
        """Tokens int64 (b, length, 64) of the frames starts[b], starts[b] + stride, ... of clips[b]."""
        frames = starts[:, None] + stride * np.arange(length)
        return torch.from_numpy(self.tokens[clips[:, None], frames].astype(np.int64))

    def sample(
        self, rng: np.random.Generator, batch_size: int, length: int, *, stride: int, among: np.ndarray
    ) -> Tensor:
        """Windows that start anywhere in any of the clips `among`, int64 (batch_size, length, 64)."""
        chosen = among[rng.integers(len(among), size=batch_size)]
        starts = rng.integers(self.tokens.shape[1] - (length - 1) * stride, size=batch_size)
        return self.windows(chosen, starts, length, stride)


def open_tokens(tokenizer: Tokenizer, clips: Clips) -> TokenStore:
    """The tokens of all clips, computed first if they are not there; a killed computation goes on.

    Raises:
        DatasetError: the cache was changed since it was built, holds something else, or the disk has no room.
    """
    facts = {"tokenizer": tokenizer_hash(tokenizer), "clips": content_hash(clips)}
    path = mapped.cache_root() / "tokens" / mapped.digest_of({"format": FORMAT_VERSION, **facts})
    mapped.ensure(path, KIND, lambda partial: {**facts, **_build(tokenizer, clips, partial)})
    return TokenStore(path, tokenizer, clips)


def content_hash(clips: Clips) -> str:
    """sha256 of the clips' frames, as their index says."""
    return str(clips.facts["content_hash"])


def tokens_of(tokenizer: Tokenizer, frames: np.ndarray) -> Tensor:
    """Tokens int64 (..., 64) of uint8 frames (..., 64, 64, 3), as networks take them."""
    return torch.from_numpy(tokenize(tokenizer, frames).astype(np.int64))


def tokenize(tokenizer: Tokenizer, frames: np.ndarray) -> np.ndarray:
    """Tokens int16 (..., 64) of uint8 frames (..., 64, 64, 3)."""
    device = tokenizer.encoder.codebook.device
    flat = frames.reshape(-1, *frames.shape[-3:])
    found = np.empty((len(flat), TOKENS), np.int16)
    with torch.inference_mode():
        for start in range(0, len(flat), BATCH):
            batch = torch.from_numpy(np.array(flat[start : start + BATCH])).to(device)
            found[start : start + BATCH] = tokenizer.encoder(batch).cpu().numpy()
    return found.reshape(*frames.shape[:-3], TOKENS)


def _build(tokenizer: Tokenizer, clips: Clips, partial: Path) -> dict[str, Any]:
    shape = (len(clips), clips.length, TOKENS)
    file = mapped.allocate(partial, "tokens", np.int16, shape, KIND)
    missing = mapped.missing_chunks(partial, len(clips), CHUNK)
    done = len(clips) - sum(last - first for first, last in missing)
    finished = _fill(tokenizer, clips, file, missing)
    mapped.record_chunks(partial, finished, done=done, total=len(clips), label="tokenize", unit="clip")
    return {}


def _fill(
    tokenizer: Tokenizer, clips: Clips, file: Path, chunks: list[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    tokens = np.load(file, mmap_mode="r+", allow_pickle=False)
    for first, last in chunks:
        for number in range(first, last):
            tokens[number] = tokenize(tokenizer, clips[number])
        tokens.flush()
        yield first, last
