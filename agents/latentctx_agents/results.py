"""Results as CSV: one row a measurement, the same columns everywhere."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentctx_agents.runs import command_line, git_commit, hardware
from latentctx_envs.locks import Lock
from latentctx_envs.replacing import replacing

COLUMNS: tuple[str, ...] = (
    "study", "world", "dataset", "method", "setting", "seed", "metric", "value", "hardware", "commit", "command",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number with all that is needed to measure it again."""

    study: str
    world: str  # environment id
    dataset: str
    method: str
    setting: Mapping[str, Any]  # e.g. {"demos": 2, "pretrain": 1000, "preset": "quick"}
    seed: int
    metric: str
    value: float


def write_results(path: Path, measurements: Iterable[Measurement], command: str | None = None) -> None:
    """Write a results CSV with hardware, commit and command filled in."""
    _write(path, _rows(measurements, command))


def check_results(path: Path | None) -> None:
    """Refuse a place that results cannot be added to, before anything is measured for it.

    Raises:
        ValueError: it is a folder, or a file that holds something else.
    """
    if path is None or not path.exists():
        return
    if path.is_dir() or (path.stat().st_size and not is_results(path)):
        raise ValueError(f"{path} is no results CSV: name a new file, or one that holds results.")


def add_results(path: Path, measurements: Iterable[Measurement], command: str | None = None) -> None:
    """Put measurements into a results CSV; what was measured before in the same setting is replaced, the rest stays.

    Other processes that add to it meanwhile wait.

    Raises:
        ValueError: something else is there.
    """
    check_results(path)
    with _alone_with(path):
        with path.open(newline="") as stream:
            rows = {_key(row): row for row in csv.DictReader(stream)}
        for row in _rows(measurements, command):
            before = rows.get(_key(row))
            # what is only read again was measured with the earlier command
            if before is None or before["value"] != row["value"]:
                rows[_key(row)] = row
        _write(path, sorted(rows.values(), key=_key))


@contextmanager
def _alone_with(path: Path) -> Iterator[None]:
    """A block in which no other process changes the file, which is there from now on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with closing(Lock(path)) as lock:
            lock.take(wait=True)
            if lock.is_in_place():
                yield
                return  # else it was replaced while this process waited


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What a measurement measures."""
    return tuple(str(row[name]) for name in COLUMNS[: COLUMNS.index("value")])


def _rows(measurements: Iterable[Measurement], command: str | None) -> Iterator[dict[str, Any]]:
    common = {
        "hardware": hardware(),
        "commit": git_commit(),
        "command": command if command is not None else command_line(),
    }
    for item in measurements:
        row = {**vars(item), "setting": json.dumps(dict(item.setting)), "value": f"{item.value:.6g}"}
        yield {**row, **common}


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as fresh, fresh.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def read_results(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Rows of results CSVs, `setting` parsed, `seed` and `value` as numbers.

    Raises:
        ValueError: a file is no results CSV, or a row of it cannot be read.
    """
    rows: list[dict[str, Any]] = []
    for path in paths:
        if not is_results(path):
            raise ValueError(f"{path} is no results CSV: expected the columns {', '.join(COLUMNS)}.")
        with path.open(newline="", encoding="utf-8", errors="replace") as stream:
            reader = csv.DictReader(stream)
            for row in reader:
                rows.append({**row, **_parsed(row, f"{path}, line {reader.line_num}")})
    return rows


def is_results(path: Path) -> bool:
    """Whether a file starts with the columns of results."""
    with path.open(newline="", encoding="utf-8", errors="replace") as stream:
        return set(COLUMNS) <= set(next(csv.reader([stream.readline(10_000)]), []))


def _parsed(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    try:
        setting, seed, value = json.loads(row["setting"]), int(row["seed"]), float(row["value"])
        complete = isinstance(setting, dict) and row["command"] is not None
    except (TypeError, ValueError):
        complete = False
    if not complete:
        got = ", ".join(f"{name} {row[name]!r}" for name in ("setting", "seed", "value"))
        raise ValueError(f"{where}: expected a JSON object as setting, numbers as seed and value; got {got}.")
    return {"setting": setting, "seed": seed, "value": value}
