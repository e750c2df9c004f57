"""Worker processes of a study: one thread of torch each, and none that outlives the study."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor

from latentctx_envs.cores import available_cores


def study_workers(count: int | None = None) -> ProcessPoolExecutor:
    """Processes that run the cells of a study side by side.

    A worker ends when its study is killed. It would write on into the run folder otherwise, beside the study that was started
    anew there.

    Args:
        count: how many; None for one a core.
    """
    return ProcessPoolExecutor(
        available_cores() if count is None else count,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
    )


def _begin() -> None:
    import torch

    torch.set_num_threads(1)  # the processes share the cores
    threading.Thread(target=_end_with_the_study, daemon=True).start()


def _end_with_the_study() -> None:
    study = multiprocessing.parent_process()
    if study is not None:
        study.join()
        os._exit(1)
