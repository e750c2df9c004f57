"""Worker processes of a study: one thread of torch each, and none that outlives the study."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from latentctx_envs.cores import available_cores

Result = TypeVar("Result")
GRACE = 60.0  # [s] that a worker has to write its checkpoint after an interruption


class StudyWorkers(ProcessPoolExecutor):
    """Processes that run the cells of a study side by side.

    A worker ends when its study is killed. It would write on into the run folder otherwise, beside the study that was started
    anew there. After Ctrl-C, or where a cell fails, no further cell is begun: what runs writes its checkpoint, as at Ctrl-C
    in a training of its own, and the workers end.

    Args:
        count: how many; None for one a core.
    """

    def __init__(self, count: int | None = None) -> None:
        super().__init__(
            available_cores() if count is None else count,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
        )

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> "Future[Result]":
        """Have `fn(*args)` computed by a worker."""
        return super().submit(_cell, fn, *args, **kwargs)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.shutdown()
            return
        processes = list((self._processes or {}).values())
        self.shutdown(wait=False, cancel_futures=True)
        latest = time.monotonic() + GRACE
        while (
            alive := [process for process in processes if process.is_alive()]
        ) and time.monotonic() < latest:
            for process in alive:
                process.terminate()  # again and again: Python does not see a signal on its way into a long call
            multiprocessing.connection.wait([process.sentinel for process in alive], timeout=1.0)
        for process in alive:
            process.kill()


_running = _ending = False  # of a worker: whether it computes, and whether it was told to end


def _begin() -> None:
    import torch

    torch.set_num_threads(1)  # the processes share the cores
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    threading.Thread(target=_end_with_the_study, daemon=True).start()


def _cell(fn: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """What a worker does with a call: nothing comes after one that was interrupted."""
    global _running
    _running = True
    try:
        return fn(*args, **kwargs)
    except KeyboardInterrupt:
        os._exit(1)
    finally:
        _running = False


def _end(*_: Any) -> None:
    global _ending
    if not _running:
        os._exit(1)
    if not _ending:  # a second signal must not disturb the writing of the checkpoint
        _ending = True
        raise KeyboardInterrupt


def _end_with_the_study() -> None:
    study = multiprocessing.parent_process()
    if study is not None:
        study.join()
        os._exit(1)
