"""Dispatch of `latentctx`: finds the command, turns errors that users can mend into one line."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import gymnasium as gym

from latentctx_agents.cli import (
    data_commands,
    encoder_commands,
    learn_commands,
    study_commands,
    world_commands,
)

Command = Callable[[list[str]], None]


def _world_model(words: list[str]) -> None:
    from latentctx_agents.cli import world_model_commands

    world_model_commands.world_model(words)


def _imitate(words: list[str]) -> None:
    from latentctx_agents.cli import world_model_commands

    world_model_commands.imitate(words)


def _aime_online(words: list[str]) -> None:
    from latentctx_agents.cli import world_model_commands

    world_model_commands.aime_online(words)


def _dreamer(words: list[str]) -> None:
    from latentctx_agents.cli import world_model_commands

    world_model_commands.dreamer(words)


def _pvdr(words: list[str]) -> None:
    from latentctx_agents.cli import pvdr_commands

    pvdr_commands.pvdr(words)


def _videos(words: list[str]) -> None:
    from latentctx_agents.cli import video_commands

    video_commands.videos(words)


def _demonstrator(words: list[str]) -> None:
    from latentctx_agents.cli import demonstrator_commands  # Stable-Baselines3 takes seconds to import

    demonstrator_commands.demonstrator(words)


COMMANDS: dict[str, tuple[Command, str]] = {
    "demo": (learn_commands.demo, "the main job end to end, with a report"),
    "envs": (world_commands.envs, "list the worlds, or describe one"),
    "data": (data_commands.data, "build, list, show, view, verify, export, convert and install datasets"),
    "encoders": (encoder_commands.encoders, "list, show and publish the encoders that ship"),
    "pretrain": (learn_commands.pretrain, "train an encoder on demonstrations of hidden contexts"),
    "finetune": (learn_commands.finetune, "clone a policy for one new context on a frozen encoder"),
    "evaluate": (learn_commands.evaluate, "success of a finetuned policy"),
    "world-model": (_world_model, "learn a body's dynamics from episodes with actions (AIME, phase 1)"),
    "imitate": (_imitate, "learn a task from observations alone by a world model (AIME, phase 2)"),
    "aime-online": (_aime_online, "imitation goes on online, by a discriminator's reward (AIME-NoB)"),
    "dreamer": (_dreamer, "train Dreamer or Plan2Explore, which make a body's experience"),
    "videos": (_videos, "build, list and view clips without actions"),
    "pvdr": (_pvdr, "pretrain a model of visual dynamics on videos, and judge it (PVDR)"),
    "demonstrator": (_demonstrator, "train or evaluate a locomotion demonstrator"),
    "study": (study_commands.study, "a whole study as one command: its cells, CSV and table"),
    "report": (learn_commands.report, "one HTML page of a run or study: tables, plots, films, commands"),
    "doctor": (world_commands.doctor, "check rendering and versions"),
}


RESUMED: set[str | tuple[str, ...]] = {
    *("demo", "pretrain", "world-model", "imitate", "aime-online", "dreamer"),
    *(("videos", "build"), ("pvdr", "pretrain"), ("demonstrator", "train")),
    *(("study", name) for name in ("render-profiles", "inverse-dynamics", "aime", "pvdr")),
    ("data", "export-videos"),
}
"""Commands that keep what was finished when they are stopped, and go on from there."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; exits with 2 on bad usage and 1 on an error that the message explains."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return
    if words[0] not in COMMANDS:
        print(f"latentctx: no command {words[0]!r}; choose from {', '.join(COMMANDS)}.", file=sys.stderr)
        sys.exit(2)
    try:
        COMMANDS[words[0]][0](words[1:])
    except KeyboardInterrupt:
        resumes = words[0] in RESUMED or tuple(words[:2]) in RESUMED
        what = "continues where it was" if resumes else "starts anew"
        print(f"\nlatentctx: stopped; the same command {what}.", file=sys.stderr)
        sys.exit(130)
    except (ValueError, ImportError, OSError, RuntimeError, MemoryError, gym.error.Error) as error:
        if os.environ.get("LATENTCTX_DEBUG"):
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, (FileExistsError, NotADirectoryError)) and error.filename is not None:
            wanted = Path(error.filename)
            files = [place for place in (wanted, *wanted.parents) if place.is_file()]
            if files:
                message = f"{files[0]} is a file where a folder is wanted: choose another place."
        print(f"latentctx {words[0]}: {message}", file=sys.stderr)
        sys.exit(1)


def usage() -> str:
    """The overview that `latentctx --help` prints."""
    rows = "\n".join(f"  {name:<12} {text}" for name, (_, text) in COMMANDS.items())
    return f"""usage: latentctx COMMAND [options]

Worlds with a hidden context, demonstrations, frozen encoders and learners.

{rows}

`latentctx COMMAND --help` explains each. LATENTCTX_DEBUG=1 shows tracebacks.
Datasets lie in MINARI_DATASETS_PATH (~/.minari/datasets), caches in LATENTCTX_CACHE (~/.cache/latentctx)."""
