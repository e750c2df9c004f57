"""Rooms: latentctx_envs <- latentctx_datasets <- latentctx_agents, and a light import at the bottom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {
    "latentctx_envs": ROOT / "latentctx_envs",
    "latentctx_datasets": ROOT / "datasets" / "latentctx_datasets",
    "latentctx_agents": ROOT / "agents" / "latentctx_agents",
}
UPSTAIRS = {
    "latentctx_envs": {"latentctx_datasets", "latentctx_agents"},
    "latentctx_datasets": {"latentctx_agents"},
    "latentctx_agents": set(),
}
HEAVY = ("torch", "mujoco", "dm_control", "matplotlib", "minari", "stable_baselines3")


def imported(file: Path) -> Iterator[str]:
    """Top-level packages that a module imports anywhere, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_down(room: str) -> None:
    files = sorted(ROOMS[room].rglob("*.py"))
    assert files
    climbing = [str(file) for file in files if UPSTAIRS[room] & set(imported(file))]
    assert climbing == []


def test_importing_the_package_registers_ids_silently_and_without_heavy_modules(run_python) -> None:
    done = run_python(
        "import sys, latentctx_envs, gymnasium\n"
        "assert 'LatentCtx-PointMass-v0' in gymnasium.registry\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_importing_the_package_leaves_the_environment_variables_alone(run_python) -> None:
    run_python(
        "import os; before = dict(os.environ); import latentctx_envs; assert dict(os.environ) == before"
    )


def test_making_and_stepping_a_state_environment_needs_no_torch(run_python) -> None:
    run_python(
        "import sys, gymnasium, latentctx_envs\n"
        "env = gymnasium.make('LatentCtx-PointMass-v0')\n"
        "env.reset(seed=0); env.step(env.action_space.sample())\n"
        "assert 'torch' not in sys.modules\n"
    )
