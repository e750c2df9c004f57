"""Results as CSV: one row a measurement, the same columns everywhere."""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentctx_agents.runs import command_line, git_commit, hardware

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
    path.parent.mkdir(parents=True, exist_ok=True)
    common = {
        "hardware": hardware(),
        "commit": git_commit(),
        "command": command if command is not None else command_line(),
    }
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        for item in measurements:
            row = {**vars(item), "setting": json.dumps(dict(item.setting)), "value": f"{item.value:.6g}"}
            writer.writerow({**row, **common})


def read_results(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Rows of results CSVs, `setting` parsed, `seed` and `value` as numbers."""
    rows: list[dict[str, Any]] = []
    for path in paths:
        with path.open(newline="") as stream:
            for row in csv.DictReader(stream):
                parsed = {"setting": json.loads(row["setting"]), "seed": int(row["seed"])}
                rows.append({**row, **parsed, "value": float(row["value"])})
    return rows
