"""`latentctx envs` and `latentctx doctor`."""

from dataclasses import dataclass, fields

import gymnasium as gym
import tyro
from rich.console import Console
from rich.table import Table

from latentctx_envs import doctor as health
from latentctx_envs.env import LatentContextEnv
from latentctx_envs.registration import ids


@dataclass(frozen=True, kw_only=True)
class EnvsArguments:
    """List the registered worlds, or describe one."""

    id: tyro.conf.Positional[str | None] = None  # an id such as LatentCtx-PointMass-v0


def envs(words: list[str]) -> None:
    """Print a table of all worlds, or the details of one."""
    arguments = tyro.cli(EnvsArguments, args=words, prog="latentctx envs")
    console = Console()
    if arguments.id is None:
        table = Table("id", "hidden context", "observations", "action", "steps")
        for name in ids():
            with gym.make(name) as env:
                base = _base(env)
                context = ", ".join(field.name for field in fields(base.context_type))
                kinds = ", ".join(f"{k} {s.shape}" for k, s in base.vector_spaces.items())
                assert env.spec is not None
                row = (context, f"{kinds}, pixels", str(base.action_space.shape))
                table.add_row(name, *row, str(env.spec.max_episode_steps))
        console.print(table)
        return
    if arguments.id not in ids():
        raise ValueError(f"no world {arguments.id!r}; there are {', '.join(ids())}.")
    with gym.make(arguments.id) as env:
        base = _base(env)
        console.print(f"[bold]{arguments.id}[/bold]\n")
        console.print((type(base).__doc__ or "").strip(), markup=False)
        context = base.context_type
        console.print(f"\ncontext: {context.__name__} {context.space()}", markup=False)
        console.print(f"splits: {', '.join(context.splits)}")
        console.print(f'make: gym.make("{arguments.id}", observation="pixels")', markup=False)


def _base(env: gym.Env) -> LatentContextEnv:  # type: ignore[type-arg]
    base = env.unwrapped
    assert isinstance(base, LatentContextEnv)
    return base


@dataclass(frozen=True, kw_only=True)
class DoctorArguments:
    """Check that frames can be rendered and that the versions are the tested ones."""


def doctor(words: list[str]) -> None:
    """Print the state of rendering and versions; fails if frames cannot be rendered."""
    tyro.cli(DoctorArguments, args=words, prog="latentctx doctor")
    for line in health.examine():
        print(line)
