"""Files that are replaced whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to; what is written takes its place in one move when the block is through.

    An error in the block leaves `path` as it was.
    """
    fresh = path.with_name(f"{path.name}.partial")
    yield fresh
    os.replace(fresh, path)
