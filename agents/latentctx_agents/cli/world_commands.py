"""`latentctx envs` and `latentctx doctor`."""

from dataclasses import dataclass, fields

import gymnasium as gym
import tyro
from gymnasium import spaces
from rich.console import Console

from latentctx_agents.cli.tables import print_table
from latentctx_envs import doctor as health
from latentctx_envs.env import LatentContextEnv
from latentctx_envs.registration import ids


@dataclass(frozen=True, kw_only=True)
class EnvsArguments:
    """List the registered worlds (also as `list`), or describe one."""

    id: tyro.conf.Positional[str | None] = None  # an id such as LatentCtx-PointMass-v0


def envs(words: list[str]) -> None:
    """Print a table of all worlds, or the details of one."""
    arguments = tyro.cli(EnvsArguments, args=words, prog="latentctx envs")
    console = Console()
    if arguments.id in (None, "list"):
        headers = ("id", "hidden context", "observations", "action", "steps")
        print_table(headers, ((name, *_row(name)) for name in ids()))
        return
    if arguments.id not in ids():
        raise ValueError(f"no world {arguments.id!r}; there are {', '.join(ids())}.")
    with gym.make(arguments.id) as env:
        base = env.unwrapped
        console.print(f"[bold]{arguments.id}[/bold]\n")
        console.print((type(base).__doc__ or "").strip(), markup=False)
        context = base.context_type
        if isinstance(base, LatentContextEnv):
            console.print(f"\ncontext: {context.__name__} {context.space()}", markup=False)
            console.print(f"splits: {', '.join(base.splits)}")
            console.print(f'make: gym.make("{arguments.id}", observation="pixels")', markup=False)
        else:
            console.print(f"\ncontext: {context.__name__}")
            console.print(f'make: gym.make("{arguments.id}")', markup=False)


def _row(name: str) -> tuple[str, str, str, str]:
    """Context, observations, action and steps of a world, as far as it can be made here."""
    steps = str(gym.spec(name).max_episode_steps)
    try:
        env = gym.make(name)
    except ImportError:
        return "", f"not installed: see `latentctx envs {name}`", "", steps
    base = env.unwrapped
    context = ", ".join(field.name for field in fields(base.context_type))
    row = (context, _kinds(base), str(base.action_space.shape), steps)
    env.close()
    return row


def _kinds(base: gym.Env) -> str:  # type: ignore[type-arg]
    if isinstance(base, LatentContextEnv):
        return ", ".join([*(f"{kind} {space.shape}" for kind, space in base.vector_spaces.items()), "pixels"])
    space = base.observation_space
    assert isinstance(space, spaces.Dict)
    return ", ".join(f"{key} {part.shape}" for key, part in space.items())


@dataclass(frozen=True, kw_only=True)
class DoctorArguments:
    """Check that frames can be rendered and that the versions are the tested ones."""


def doctor(words: list[str]) -> None:
    """Print the state of rendering and versions; fails if frames cannot be rendered."""
    tyro.cli(DoctorArguments, args=words, prog="latentctx doctor")
    for line in health.examine():
        print(line)
