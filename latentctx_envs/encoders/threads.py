"""How many threads an encoder in a loop over steps is worth."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# A second thread takes 1.75 times off 16 frames of 84 pixels where a core is idle. On less work it gains little, and where
# another process has its core each layer waits for the scheduler: 16 frames of 47 pixels took 90 times as long with two
# threads on a busy machine (benchmarks/encode.py), a filter of vectors 18 times in the mean (by hand, load 3 on two cores).
NUMBERS_PER_THREAD = 50_000


@contextmanager
def threads_for(numbers: int) -> Iterator[None]:
    """A block in which PyTorch uses at most as many threads as inputs of this size are worth: pixels, or numbers of vectors."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, min(threads, numbers // NUMBERS_PER_THREAD)))
    try:
        yield
    finally:
        torch.set_num_threads(threads)
