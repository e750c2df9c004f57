"""Files and folders that are replaced whole or not at all, and files known by their bytes."""

import filecmp
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def replacing_folder(path: Path, *, own: Collection[str], what: str) -> Iterator[Path]:
    """A new folder beside `path` to write to, which takes its place when the block is through.

    The old folder goes just before the new one is moved, which no system does in one step: a process that is killed in
    between leaves the new one as `<path>.partial`. An error in the block leaves `path` as it was.

    Args:
        path: the folder.
        own: names of what such a folder holds; one that holds anything else is not replaced.
        what: it is, for the refusal, such as "a policy".

    Raises:
        ValueError: `path` is a file, or a folder that holds something else.
    """
    refuse_foreign(path, own=own, what=what)
    fresh = path.with_name(f"{path.name}.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    yield fresh
    refuse_foreign(path, own=own, what=what)  # what has come there meanwhile
    shutil.rmtree(path, ignore_errors=True)
    fresh.rename(path)


def refuse_foreign(path: Path, *, own: Collection[str], what: str) -> None:
    """Refuse to replace a file, or a folder with anything in it that `replacing_folder` would not have written.

    Args:
        path: the folder.
        own: names of what such a folder holds.
        what: it is, such as "a policy".

    Raises:
        ValueError: it is a file, or it holds something else.
    """
    if not path.exists():
        return
    found = [entry.name for entry in path.iterdir()] if path.is_dir() else [path.name]
    others = sorted(set(found) - set(own))
    if others:
        raise ValueError(f"{path} holds more than {what} ({', '.join(others[:3])}): choose a new folder.")


def link_if_equal(source: Path, file: Path) -> None:
    """Let a file share its place on the disk with another that holds the same, where the disk can; else it stays."""
    if source.is_file() and filecmp.cmp(source, file, shallow=False):
        with suppress(OSError), replacing(file) as fresh:
            os.link(source.resolve(), fresh)


def sha256_of(path: Path) -> str:
    """The sha256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
