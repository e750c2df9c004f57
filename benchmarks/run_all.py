"""All benchmarks, each in a process of its own; writes `benchmarks/results/latest.json` (`make bench`)."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from latentctx_agents.runs import git_commit

HERE = Path(__file__).parent
LATEST = HERE / "results" / "latest.json"
CLAIMS: dict[str, dict[str, str]] = {
    "pixels": {"frames": "pixels_frames.py", "vector": "pixels_vector.py"},
    "vector": {"state": "vector.py", "meta_world": "meta_world.py"},
    "data": {"sampling": "data.py"},
    "encode": {"wrappers": "encode.py"},
    "world_model": {"update": "world_model.py"},
    "planning": {"decision": "planning.py"},
}
PACKAGES = (
    "mujoco",
    "dm_control",
    "gymnasium",
    "metaworld",
    "minari",
    "envpool",
    "torch",
    "stable-baselines3",
)


def measure(script: str) -> dict[str, Any]:
    """The results of one benchmark.

    Raises:
        CalledProcessError: it failed; its message is on standard error.
    """
    print(f"\n== {script}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.json"
        command = [sys.executable, str(HERE / script), "--json", str(file)]
        subprocess.run(command, check=True, env={"MUJOCO_GL": "egl", **os.environ})
        return json.loads(file.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description="All benchmarks; the results go to one file.")
    parser.add_argument("--only", choices=sorted(CLAIMS), help="measure one group, keep the others' results")
    parser.add_argument("--json", type=Path, default=LATEST)
    arguments = parser.parse_args()
    found: dict[str, Any] = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    versions = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):  # a group needs its own peers only
            versions[name] = version(name)
    for group, scripts in CLAIMS.items():
        if arguments.only in (None, group):
            made_with = {"commit": git_commit(), "versions": versions, "command": "make bench"}
            found[group] = {**made_with, **{name: measure(script) for name, script in scripts.items()}}
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(found, indent=2) + "\n")  # a killed run keeps what it has


if __name__ == "__main__":
    main()
