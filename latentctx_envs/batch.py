"""Batch: persistent physics of N environments, stepped in dm_control's order and read as one array.

Each environment keeps its own `MjData`, so that the solver's warm start, which decides the last bits, is the one it
would have alone. The loop is Python's, over bound functions, live views and controls that are made once; that is already
less CPU time than a compiled environment pool takes (benchmarks/vector.py), and only the point mass, with next to no
physics, would gain much by compiled code. MuJoCo's calls release the GIL; threads pay once a control step simulates
long enough between two hand-overs of it.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import mujoco
import numpy as np

from latentctx_envs.cores import available_cores
from latentctx_envs.task import Task

THREADED_SUBSTEPS = 5  # physics steps in one call from which two threads beat one (walker: 10, 1.7 x)


class Batch:
    """N `MjData` of one task.

    Args:
        task: the physics and what is recorded of it.
        count: N.
        threads: how many step; None chooses: one a core if a control step has many physics steps, else one.

    Raises:
        ValueError: `threads` below 1.
    """

    def __init__(self, task: Task, count: int, *, threads: int | None = None) -> None:
        if threads is not None and (not isinstance(threads, int) or threads < 1):
            raise ValueError(f"num_threads must be a whole number from 1, or None; got {threads!r}.")
        self._task = task
        self._model = task.model
        self._threads = min(threads if threads is not None else _default_threads(task), count)
        self._pool: ThreadPoolExecutor | None = None
        self._pid = 0  # of the process whose threads these are
        self.datas = [mujoco.MjData(task.model) for _ in range(count)]
        self._look()

    def _look(self) -> None:
        """Make the views of the data that stepping and reading go through."""
        self._controls = [data.ctrl for data in self.datas]
        self._views = [view.reshape(-1) for data in self.datas for view in self._task.views(data)]
        self._width = sum(view.size for view in self._views) // len(self.datas)

    def rows(self) -> np.ndarray:
        """What the task records of each environment, float64 (N, r), a new array."""
        out = np.empty((len(self.datas), self._width))
        np.concatenate(self._views, out=out.reshape(-1))
        return out

    def step(self, actions: np.ndarray, chosen: Sequence[int] | None = None) -> None:
        """Simulate one control step of all environments, or of the chosen ones.

        Args:
            actions: controls (n, a) of those that step.
            chosen: their n indices; None for all.
        """
        datas, controls = self.datas, self._controls
        if chosen is not None:
            datas, controls = [datas[index] for index in chosen], [controls[index] for index in chosen]
        jobs: tuple[Any, ...] = (datas, controls, actions)
        size = -(-len(datas) // self._threads)
        others = [self._submit([part[i : i + size] for part in jobs]) for i in range(size, len(datas), size)]
        self._advance(*[part[:size] for part in jobs])
        for other in others:
            other.result()

    def _submit(self, job: list[Any]) -> Future[None]:
        if self._pool is None or self._pid != os.getpid():  # threads do not survive a fork
            self._pool = ThreadPoolExecutor(self._threads - 1, thread_name_prefix="latentctx-step")
            self._pid = os.getpid()
        return self._pool.submit(self._advance, *job)

    def _advance(self, datas: Sequence[Any], controls: Sequence[Any], actions: Any) -> None:
        # dm_control's order: positions, velocities and sensors that are read belong to the same moment
        model, between = self._model, self._task.substeps - 1
        step2, step, step1 = mujoco.mj_step2, mujoco.mj_step, mujoco.mj_step1
        if between:
            for data, control, action in zip(datas, controls, actions, strict=True):
                control[:] = action
                step2(model, data)
                step(model, data, between)
                step1(model, data)
        else:
            for data, control, action in zip(datas, controls, actions, strict=True):
                control[:] = action
                step2(model, data)
                step1(model, data)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but threads and views, which a copy makes for its own data."""
        dropped = {"_pool": None, "_controls": [], "_views": []}
        return {**self.__dict__, **dropped}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._look()

    def close(self) -> None:
        """End the threads; stepping again starts them anew."""
        if self._pool is not None and self._pid == os.getpid():
            self._pool.shutdown()
        self._pool = None


def _default_threads(task: Task) -> int:
    return available_cores() if task.substeps >= THREADED_SUBSTEPS else 1
