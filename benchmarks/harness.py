"""What every benchmark shares: arms that take turns, medians of ratios, CPU time beside wall time, JSON.

An arm is a function that does some work and returns how many units (frames, steps, batches) it did. The arms of a
comparison run one after the other, round by round, so that a slow spell of the machine meets all of them. A round's
ratio compares an arm with the peer of the same round; the claim is the median over the rounds.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

Arm = Callable[[], int]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Microseconds of one unit of work."""

    wall_us: float
    cpu_us: float  # of this process and its children, all threads


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Arms measured against a peer in one run; ratios above 1 say how many times cheaper than the peer."""

    title: str
    unit: str
    peer: str
    costs: dict[str, Cost]  # medians
    wall_ratios: dict[str, float]  # of each arm but the peer, medians of the rounds
    cpu_ratios: dict[str, float]
    targets: dict[str, float]  # smallest ratio claimed

    def print(self) -> None:
        """A table on standard output."""
        print(f"{self.title} (peer: {self.peer})")
        for name, cost in self.costs.items():
            line = f"  {name:<34} {cost.wall_us:>10,.2f} us wall {cost.cpu_us:>10,.2f} us CPU a {self.unit}"
            if name != self.peer:
                line += f"  x{self.wall_ratios[name]:.2f} wall  x{self.cpu_ratios[name]:.2f} CPU"
            if name in self.targets:
                line += f"  (target x{self.targets[name]:g})"
            print(line, flush=True)


def compare(
    title: str,
    arms: Mapping[str, Arm],
    *,
    peer: str,
    unit: str,
    targets: Mapping[str, float] | None = None,
    seconds: float = 0.5,
    rounds: int = 5,
) -> Comparison:
    """Measure the arms in turn and print the comparison.

    Args:
        title: what is compared.
        arms: name -> arm; all do the same kind of work.
        peer: name of the arm that the others are measured against.
        unit: what an arm counts.
        targets: smallest ratio claimed for an arm, for the table.
        seconds: wall time of one measurement; an arm runs at least once.
        rounds: measurements of each arm.
    """
    for arm in arms.values():
        arm()  # caches, lazy imports, page faults
    measured = [{name: _measure(arm, seconds) for name, arm in arms.items()} for _ in range(rounds)]
    others = [name for name in arms if name != peer]
    comparison = Comparison(
        title=title,
        unit=unit,
        peer=peer,
        costs={
            name: Cost(
                wall_us=statistics.median(m[name].wall_us for m in measured),
                cpu_us=statistics.median(m[name].cpu_us for m in measured),
            )
            for name in arms
        },
        wall_ratios={
            name: statistics.median(m[peer].wall_us / m[name].wall_us for m in measured) for name in others
        },
        cpu_ratios={
            name: statistics.median(m[peer].cpu_us / m[name].cpu_us for m in measured) for name in others
        },
        targets=dict(targets or {}),
    )
    comparison.print()
    return comparison


def _measure(arm: Arm, seconds: float) -> Cost:
    units, began, cpu = 0, time.perf_counter(), cpu_seconds()
    while True:
        units += arm()
        wall = time.perf_counter() - began
        if wall >= seconds:
            break
    return Cost(wall_us=1e6 * wall / units, cpu_us=max(1e-3, 1e6 * (cpu_seconds() - cpu)) / units)


@contextlib.contextmanager
def arms_apart(makers: Mapping[str, Callable[[], Arm]]) -> Iterator[dict[str, Arm]]:
    """Arms that live in a fresh process each, for libraries that do not bear each other in one.

    They do nothing but wait while it is not their turn, and `cpu_seconds` counts them as children.

    Args:
        makers: name -> what makes the arm in its process; must pickle.
    """
    spawn = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        arms: dict[str, Arm] = {}
        for name, make in makers.items():
            here, there = spawn.Pipe()
            worker = spawn.Process(target=_serve, args=(there, make), daemon=True)
            worker.start()
            there.close()  # so that a worker's death ends the wait for its answer
            stack.callback(worker.join)
            stack.callback(here.send, False)
            arms[name] = _Turn(here)
        yield arms


class _Turn:
    """Has a process run its arm once."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __call__(self) -> int:
        self._connection.send(True)
        return self._connection.recv()


def _serve(connection: Any, make: Callable[[], Arm]) -> None:
    arm = make()
    while connection.recv():
        connection.send(arm())


def apart(function: Callable[..., Any], *args: Any) -> Any:
    """What a function returns in a fresh process; it and its arguments must pickle."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def cpu_seconds() -> float:
    """CPU time of this process, all its threads, and its living child processes."""
    total = time.process_time()
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def as_json(comparisons: Mapping[str, Comparison], extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Plain values of a benchmark's comparisons."""
    return {**{name: asdict(comparison) for name, comparison in comparisons.items()}, **(extra or {})}


def run(description: str, results: Callable[[], dict[str, Any]]) -> None:
    """The command line of a benchmark: print, and write the results where `--json` says."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    found = {"machine": machine(), **results()}
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


def machine() -> dict[str, Any]:
    """The processor and how many cores the benchmark may use."""
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": names[0] if names else platform.machine(),
        "python": platform.python_version(),
    }
