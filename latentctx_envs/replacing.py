"""Files that are replaced whole or not at all, and known by their bytes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to; what is written takes its place in one move when the block is through.

    An error in the block leaves `path` as it was.
    """
    fresh = path.with_name(f"{path.name}.partial")
    yield fresh
    os.replace(fresh, path)


def sha256_of(path: Path) -> str:
    """The sha256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
