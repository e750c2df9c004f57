"""A run folder: config, versions, git commit, metrics as CSV and TensorBoard events."""

import csv
import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from latentctx_envs.locks import Lock
from latentctx_envs.replacing import replacing

PACKAGES = ("torch", "numpy", "gymnasium", "mujoco", "dm_control", "minari", "stable-baselines3")

OWN = {"config.json", "versions.json", "origin.json"}  # of a folder in which nothing was done yet


class RunFolder:
    """Where one training or study writes; an existing folder is continued if its config is the same.

    Options that the folder's config does not know, because they are newer than it, must have their defaults. A folder in
    which nothing was done yet, as after a command that was refused, is taken over.

    Args:
        path: the folder, made if need be.
        config: a dataclass of plain values.
        origin: what else the run was begun from, such as {"world model": its hash}; what a folder does not say it takes
            from the first that tells it.

    Raises:
        ValueError: the folder holds a run with another config or origin.
    """

    def __init__(self, path: Path, config: Any, origin: Mapping[str, str] | None = None) -> None:
        self.path = path
        file = path / "config.json"
        if path.is_dir() and {found.name for found in path.iterdir()} <= OWN:
            for name in OWN:
                (path / name).unlink(missing_ok=True)
        if file.exists() and not holds(read_json(file), config):
            raise ValueError(
                f"{path} holds a run with another config: choose another folder or move it away."
            )
        if path.exists() and not path.is_dir():
            raise ValueError(f"{path} is a file: choose a folder for the run.")
        path.mkdir(parents=True, exist_ok=True)
        if origin is not None:
            self._check_origin(origin)
        write_json(file, dataclasses.asdict(config))
        if not (path / "versions.json").exists():
            write_json(path / "versions.json", environment())

    def _check_origin(self, origin: Mapping[str, str]) -> None:
        file = self.path / "origin.json"
        if not file.exists():
            write_json(file, dict(origin))
            return
        written = read_json(file)
        known = dict(written)
        for name, value in origin.items():
            if written.setdefault(name, value) != value:
                raise ValueError(
                    f"{self.path} was begun from another {name}: choose another folder or move it away."
                )
        if written != known:
            write_json(file, written)


def read_json(file: Path) -> Any:
    """The JSON values of a file of a run.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        return json.loads(file.read_text())
    except ValueError:
        raise ValueError(
            f"{file} is damaged: remove it to go on with the run, if it is the same one."
        ) from None


def kept_json(file: Path, make: Callable[[], Any]) -> Any:
    """The JSON values of a file; where it is not there, they are made and written down in one move.

    Raises:
        ValueError: the file is damaged.
    """
    if file.exists():
        return read_json(file)
    found = make()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, found)
    return found


def write_json(file: Path, values: Any) -> None:
    """Write JSON values in one move."""
    with replacing(file) as fresh:
        fresh.write_text(json.dumps(values, indent=2) + "\n")


def holds(written: Any, config: Any) -> bool:
    """Whether parsed JSON is a config; what it lacks must have its default, as of options that came later."""
    if not dataclasses.is_dataclass(config):
        return written == json.loads(json.dumps(config, default=dataclasses.asdict))
    if not isinstance(written, dict):
        return False
    fields = {field.name: field for field in dataclasses.fields(config)}
    return written.keys() <= fields.keys() and all(
        holds(written[name], getattr(config, name))
        if name in written
        else getattr(config, name) == _default(field)
        for name, field in fields.items()
    )


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


@contextmanager
def training_alone(directory: Path) -> Iterator[None]:
    """A block in which no other process trains in this folder.

    Raises:
        ValueError: another one does.
    """
    with closing(Lock(directory)) as lock:
        if not lock.take():
            raise ValueError(
                f"{directory} is being trained in by another process: wait for it, or choose another folder."
            )
        yield


class MetricsLog:
    """Appends rows (step, metrics) to `metrics.csv` and, if TensorBoard is installed, to its events.

    Args:
        path: the run folder.
        start: rows after this step are dropped; they come again after a resume.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self._file = path / "metrics.csv"
        kept = [row for row in read_metrics(path) if row["step"] <= start]
        self._columns = ["step", *(sorted(set(kept[0]) - {"step", "seconds"}) if kept else []), "seconds"]
        self._began = time.monotonic() - (kept[-1]["seconds"] if kept else 0.0)
        if kept:
            self._rewrite(kept)
        else:
            self._file.unlink(missing_ok=True)
        try:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(path / "tensorboard"), purge_step=start)
        except ImportError:
            self._board = None

    def _rewrite(self, rows: list[dict[str, float]]) -> None:
        with replacing(self._file) as fresh, fresh.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, self._columns, restval="nan")
            writer.writeheader()
            writer.writerows(rows)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append one row."""
        row = {"step": step, **metrics, "seconds": round(time.monotonic() - self._began, 2)}
        if not self._file.exists() or not row.keys() <= set(self._columns):
            kept = read_metrics(self._file.parent)  # of a run from before a metric: it has none of it
            self._columns = ["step", *sorted({*metrics, *self._columns} - {"step", "seconds"}), "seconds"]
            self._rewrite([*kept, row])
        else:
            with self._file.open("a", newline="") as stream:
                csv.DictWriter(stream, self._columns, restval="nan").writerow(row)
        if self._board is not None:
            for name, value in metrics.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush TensorBoard's events."""
        if self._board is not None:
            self._board.close()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a run's `metrics.csv`; a torn last line is left out."""
    file = path / "metrics.csv"
    if not file.exists():
        return []
    rows = []
    with file.open(newline="") as stream:
        for row in csv.DictReader(stream):
            try:
                values = {name: float(value) for name, value in row.items()}
            except (TypeError, ValueError):
                continue
            rows.append({**values, "step": int(values["step"])})
    return rows


def environment() -> dict[str, Any]:
    """Versions, commit and hardware, as plain values."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": git_commit(),
        "hardware": hardware(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def git_commit() -> str:
    """Short hash of the checkout this package runs from, with "+" if it has changes; "" outside git."""
    folder = Path(__file__).parent
    try:
        run = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--abbrev=10"]
        return subprocess.run(run, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def hardware() -> str:
    """Processor, number of cores and, if there is one, the GPU."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [x.split(":", 1)[1] for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        model = names[0].strip() if names else model
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return f"{os.cpu_count()} x {model}; {torch.cuda.get_device_name()}"
    return f"{os.cpu_count()} x {model}"


def command_line() -> str:
    """The command that is running, for a result's `command` column."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


def training_record(config: Any, seconds: float, **facts: Any) -> dict[str, Any]:
    """What is kept with trained weights, as plain values: what they learned from, how, where and by which command.

    Args:
        config: a dataclass of plain values with a seed.
        seconds: that the training took.
        facts: of this kind of training, such as objective, dataset and dataset_hash.
    """
    place = environment()
    return {
        **facts,
        "config": dataclasses.asdict(config),
        "seed": config.seed,
        "seconds": round(seconds, 1),
        "hardware": place["hardware"],
        "commit": place["commit"],
        "command": command_line(),
    }
