"""Locks between processes, to wait for or to refuse; a lock ends with the process that holds it, however that dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


class Lock:
    """The lock of a folder, or of a file, which is made if it is not there. Nobody holds it before `take`; `close` it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)

    def take(self, *, shared: bool = False, wait: bool = False) -> bool:
        """Hold it from now on, alone or with others who share it; False if they do not let us and we do not wait."""
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(self._file, how if wait else how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def is_in_place(self) -> bool:
        """Whether the file is still that of its path, or was replaced since."""
        return self._path.exists() and os.path.samestat(os.fstat(self._file), self._path.stat())

    def close(self) -> None:
        """Let others take it, whichever processes were forked since and have the file open, too."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time make `path`; the others wait. The lock file `<path>.lock` stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(Lock(path.with_name(f"{path.name}.lock"))) as lock:
        lock.take(wait=True)
        yield
