"""RenderPool: frames of N environments, rendered by this process and its workers side by side.

Workers are fresh interpreters, never forks: each has its own OpenGL context. States go to them and frames come back
through one piece of shared memory; a ticket is the index of an environment in a pipe from which whoever is free reads
the next, this process included, so that no core waits for a slower one:

    this process ── states (N, k), tickets 0..N-1 ──> workers ── frames (N, h, w, 3), done ──> this process
"""

import contextlib
import mmap
import os
import pickle
import select
import subprocess
import sys
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from latentctx_envs.cores import available_cores
from latentctx_envs.rendering import Renderer

POSE = int(
    mujoco.mjtState.mjSTATE_QPOS | mujoco.mjtState.mjSTATE_MOCAP_POS | mujoco.mjtState.mjSTATE_MOCAP_QUAT
)  # all that a picture depends on
TICKET = 2  # bytes of an index in the pipes; reads and writes of so few are atomic
MOST_FRAMES = 1 << 8 * TICKET
FEWEST_FRAMES = 4  # with fewer a second process is not worth its start
FEWEST_SHARED = 2  # a single frame is drawn here
PATIENCE = 1.0  # [s] between two looks at whether the workers live


class SharedFrames:
    """States (n, k) float64 and frames (n, h, w, 3) uint8 in memory that several processes map.

    Args:
        descriptor: of the shared memory.
        count: n.
        state_size: k.
        size: (h, w).
    """

    def __init__(self, descriptor: int, count: int, state_size: int, size: tuple[int, int]) -> None:
        states, frames = count * state_size * 8, count * size[0] * size[1] * 3
        if os.fstat(descriptor).st_size < states + frames:
            os.ftruncate(descriptor, states + frames)
        memory = mmap.mmap(descriptor, states + frames)
        self.states = np.frombuffer(memory, np.float64, count * state_size).reshape(count, state_size)
        self.frames = np.frombuffer(memory, np.uint8, frames, states).reshape(count, *size, 3)


class RenderPool:
    """Renders the physics of N environments with one camera.

    Args:
        renderer: what to render with, here and in the workers.
        count: N, the most frames at a time.
        workers: processes beside this one; None for one a core, this one included, if there are at least 4 frames.

    Raises:
        ValueError: more environments than workers can be told apart for.
    """

    def __init__(self, renderer: Renderer, count: int, *, workers: int | None = None) -> None:
        wanted = workers if workers is not None else default_workers(count)
        if wanted and count > MOST_FRAMES:
            raise ValueError(f"rendering processes take up to {MOST_FRAMES} environments; got {count}.")
        if wanted:
            renderer.share_cores()
        self._renderer = renderer
        self._count = count
        self._wanted = min(wanted, count)
        self._crew: _Crew | None = None

    def render(self, datas: Sequence[mujoco.MjData]) -> np.ndarray:
        """Frames of up to N environments, uint8 (len(datas), h, w, 3), a new array.

        Raises:
            RuntimeError: a worker has ended; the next call starts new ones.
        """
        if not self._wanted or len(datas) < FEWEST_SHARED:
            frames = np.empty((len(datas), self._renderer.height, self._renderer.width, 3), np.uint8)
            for data, frame in zip(datas, frames, strict=True):
                self._renderer.render(data, out=frame)
            return frames
        if self._crew is None or self._crew.pid != os.getpid():
            self._crew = _Crew(self._renderer, self._count, self._wanted)
        try:
            return self._crew.render(self._renderer, datas)
        except BaseException:  # an interrupt as well
            self._crew.end()  # or tickets and frames of this call would mix with the next one's
            self._crew = None
            raise

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the workers, which a copy starts for itself."""
        return {**self.__dict__, "_crew": None}

    def close(self) -> None:
        """End the workers and free the renderer; rendering again starts anew."""
        if self._crew is not None and self._crew.pid == os.getpid():
            self._crew.end()
        self._crew = None
        self._renderer.close()


class _Crew:
    """Running workers and what connects them to this process."""

    def __init__(self, renderer: Renderer, count: int, workers: int) -> None:
        self.pid = os.getpid()
        state_size = mujoco.mj_stateSize(renderer.model, POSE)
        with contextlib.ExitStack() as mine:
            memory = os.memfd_create("latentctx-frames")
            mine.callback(os.close, memory)
            self._shared = SharedFrames(memory, count, state_size, (renderer.height, renderer.width))
            tickets, self._tickets_in = os.pipe()
            mine.callback(os.close, tickets)
            self._done, done_in = os.pipe()
            mine.callback(os.close, done_in)
            # a second description of the same pipe end: only this process' reads must not block
            self._tickets = os.open(f"/proc/self/fd/{tickets}", os.O_RDONLY | os.O_NONBLOCK)
            job = pickle.dumps((renderer, count))
            self._workers = [_start_worker(job, memory, tickets, done_in) for _ in range(workers)]
        pipes = (self._tickets_in, self._tickets, self._done)
        self.end = weakref.finalize(self, _end_workers, self._workers, pipes, self.pid)

    def render(self, renderer: Renderer, datas: Sequence[mujoco.MjData]) -> np.ndarray:
        for data, state in zip(datas, self._shared.states[: len(datas)], strict=True):
            mujoco.mj_getState(renderer.model, data, state, POSE)
        os.write(self._tickets_in, np.arange(len(datas), dtype=np.uint16).tobytes())
        left = len(datas)
        for index in self._own_tickets():
            renderer.render(datas[index], out=self._shared.frames[index])
            left -= 1
        while left:
            left -= self._finished()
        return self._shared.frames[: len(datas)].copy()

    def _own_tickets(self) -> Iterator[int]:
        """Tickets until none is left."""
        while True:
            try:
                ticket = os.read(self._tickets, TICKET)
            except BlockingIOError:
                return
            yield int.from_bytes(ticket, sys.byteorder)

    def _finished(self) -> int:
        """Wait for workers to finish frames; how many they finished."""
        ready, _, _ = select.select([self._done], [], [], PATIENCE)
        ended = [worker.returncode for worker in self._workers if not ready and worker.poll() is not None]
        count = len(os.read(self._done, 1 << 16)) // TICKET if ready else 0
        if ended or (ready and not count):
            raise RuntimeError(
                f"a rendering process has ended (exit codes {ended}), its message is above; "
                "num_workers=0 renders in this process alone."
            )
        return count


def default_workers(count: int) -> int:
    """Workers beside this process for `count` frames at a time: one on every other core."""
    return min(available_cores(), count) - 1 if count >= FEWEST_FRAMES and hasattr(os, "memfd_create") else 0


def _start_worker(job: bytes, *descriptors: int) -> subprocess.Popen[bytes]:
    package = str(Path(__file__).parent.parent)
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    worker = subprocess.Popen(
        [sys.executable, "-m", "latentctx_envs.render_worker", *map(str, descriptors)],
        stdin=subprocess.PIPE,
        pass_fds=descriptors,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert worker.stdin is not None
    worker.stdin.write(job)
    worker.stdin.close()
    return worker


def _end_workers(workers: list[subprocess.Popen[bytes]], pipes: Sequence[int], pid: int) -> None:
    if pid != os.getpid():
        return  # the workers belong to the process that this one was forked from
    for pipe in pipes:
        os.close(pipe)  # a worker that finds no ticket and no writer ends
    for worker in workers:
        try:
            worker.wait(timeout=5)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
