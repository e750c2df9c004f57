"""Commands with commands of their own, such as `latentctx study NAME`."""

import importlib
import sys
from collections.abc import Callable, Mapping

Command = Callable[[list[str]], None]
Commands = Mapping[
    str, tuple[Command | str, str]
]  # name -> what runs it ("module:function"), one line of help


def command_of(named: Command | str) -> Command:
    """What runs a command, loaded by now."""
    if not isinstance(named, str):
        return named
    module, _, function = named.partition(":")
    return getattr(importlib.import_module(module), function)


def dispatch(words: list[str], commands: Commands, prog: str, kind: str) -> None:
    """Run the command that the first word names with the others, or print what there is.

    Args:
        words: after `prog`.
        commands: what there is.
        prog: e.g. "latentctx study".
        kind: what a command is called, e.g. "study".

    Raises:
        ValueError: there is no such command.
    """
    if not words or words[0] in ("-h", "--help"):
        width = max(map(len, commands))
        lines = "\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in commands.items())
        print(f"usage: {prog} {kind.upper()} [options]\n\n{lines}")
        sys.exit(0)
    if words[0] not in commands:
        raise ValueError(f"no {kind} {words[0]!r}; choose from {', '.join(commands)}.")
    command_of(commands[words[0]][0])(words[1:])
