"""Tensors in a file."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], *, metadata: dict[str, str] | None = None
) -> None:
    """Write tensors as safetensors, readable by whom the process lets read its files.

    (safetensors' own `save_file` makes files that their owner alone may read, as of 0.8.)

    Args:
        path: the file.
        tensors: on any device.
        metadata: text that is kept with them.
    """
    path.write_bytes(save({name: value.cpu().contiguous() for name, value in tensors.items()}, metadata))
