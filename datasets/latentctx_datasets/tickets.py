"""Numbered pieces of work, done by fresh interpreters that end with the process which started them.

A worker is `python -m MODULE FOLDER ...`, whose module calls `serve`: it is told nothing but the folder, and finds there
what to do. Numbers come to it through one pipe, and those that are done go back through another. So a script needs no
`if __name__ == "__main__"` for its workers to start, and a process that is killed leaves none behind.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np

TICKET = 2  # bytes of a number in a pipe; so few are read and written whole
PATIENCE = 1.0  # [s] between two looks at whether the workers live

Wanted = Callable[[], bool]
"""Asked between two steps of a piece of work: False once nobody waits for it any more."""
Work = Callable[[int, Wanted], bool]
"""Does the piece of a number; False if it was given up."""


def done_by_workers(module: str, folder: Path, numbers: Sequence[int], count: int) -> Generator[int]:
    """Let workers do pieces of work and yield the number of each that is done; close it to end them.

    Args:
        module: of the worker, one that calls `serve`.
        folder: where it finds what to do.
        numbers: of the pieces, at most 32,768, each below 65,536.
        count: how many workers.

    Raises:
        RuntimeError: a worker failed; its message is on stderr.
    """
    with contextlib.ExitStack() as mine:
        tickets, tickets_in = os.pipe()
        done, done_in = os.pipe()
        mine.callback(os.close, done)
        workers: list[subprocess.Popen[bytes]] = []
        mine.callback(_end, workers)
        for _ in range(count):
            workers.append(_start(module, folder, tickets, done_in))
        os.close(tickets)
        os.close(done_in)
        _write(tickets_in, numbers)
        left = len(numbers)
        while left:
            if not select.select([done], [], [], PATIENCE)[0]:
                _refuse_failed(workers)
                continue
            ticket = os.read(done, TICKET)
            if not ticket:  # every worker has ended
                _refuse_failed(workers, ended=True)
            yield int.from_bytes(ticket, sys.byteorder)
            left -= 1


def _write(pipe: int, numbers: Sequence[int]) -> None:
    """All of them at once: so many fit into a pipe."""
    os.write(pipe, np.asarray(numbers, np.uint16).tobytes())
    os.close(pipe)


def _start(module: str, folder: Path, tickets: int, done: int) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, "-m", module, str(folder), str(tickets), str(done)],
        stdin=subprocess.DEVNULL,
        pass_fds=(tickets, done),
        env={**os.environ, "PYTHONPATH": path},
    )


def _refuse_failed(workers: list[subprocess.Popen[bytes]], *, ended: bool = False) -> None:
    codes = [worker.wait() if ended else worker.poll() for worker in workers]
    if ended or any(code not in (None, 0) for code in codes):
        raise RuntimeError(
            f"a building process has ended (exit codes {codes}), its message is above; the same command goes on, "
            "and one worker builds in the process itself."
        )


def _end(workers: list[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.wait()


def serve(prepare: Callable[[Path], Work]) -> None:
    """The whole of a worker: take numbers and do their work until none is left or the parent is gone.

    Args:
        prepare: looks into the folder and returns what does the work.
    """
    folder, tickets, done = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it ends us
    parent = os.getppid()

    def wanted() -> bool:
        return os.getppid() == parent

    try:
        work = prepare(folder)
        while ticket := os.read(tickets, TICKET):
            if not work(int.from_bytes(ticket, sys.byteorder), wanted):
                return
            os.write(done, ticket)
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"latentctx: {error}")
