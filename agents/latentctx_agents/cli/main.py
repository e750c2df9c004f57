"""Dispatch of `latentctx`: finds the command, turns errors that users can mend into one line."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import gymnasium as gym

from latentctx_agents.cli.dispatch import Commands, command_of
from latentctx_envs.extras import require

HERE = "latentctx_agents.cli"
COMMANDS: Commands = {
    "demo": (f"{HERE}.learn_commands:demo", "the main job end to end, with a report"),
    "envs": (f"{HERE}.world_commands:envs", "list the worlds, or describe one"),
    "data": (
        f"{HERE}.data_commands:data",
        "build, list, describe, view, verify, combine, export, convert and install datasets",
    ),
    "encoders": (f"{HERE}.encoder_commands:encoders", "list, show and publish the encoders that ship"),
    "pretrain": (f"{HERE}.learn_commands:pretrain", "train an encoder on demonstrations of hidden contexts"),
    "finetune": (
        f"{HERE}.learn_commands:finetune",
        "clone a policy for one new context on a frozen encoder",
    ),
    "evaluate": (
        f"{HERE}.learn_commands:evaluate",
        "measure or film a finetuned policy or an agent that imitates",
    ),
    "world-model": (
        f"{HERE}.world_model_commands:world_model",
        "learn a body's dynamics from episodes with actions (AIME, phase 1)",
    ),
    "imitate": (
        f"{HERE}.world_model_commands:imitate",
        "learn a task from observations alone by a world model (AIME, phase 2)",
    ),
    "aime-online": (
        f"{HERE}.world_model_commands:aime_online",
        "imitation goes on online, by a discriminator's reward (AIME-NoB)",
    ),
    "dreamer": (
        f"{HERE}.world_model_commands:dreamer",
        "train Dreamer or Plan2Explore, which make a body's experience",
    ),
    "videos": (f"{HERE}.video_commands:videos", "build, list and view clips without actions"),
    "pvdr": (
        f"{HERE}.pvdr_commands:pvdr",
        "pretrain a model of visual dynamics on videos, and judge it (PVDR)",
    ),
    "demonstrator": (
        f"{HERE}.demonstrator_commands:demonstrator",
        "train or evaluate a locomotion demonstrator",
    ),
    "study": (f"{HERE}.study_commands:study", "a whole study as one command: its cells, CSV and table"),
    "report": (
        f"{HERE}.learn_commands:report",
        "one HTML page of a run or study: tables, plots, films, commands",
    ),
    "doctor": (f"{HERE}.world_commands:doctor", "check rendering and versions"),
}
"""What runs each, by name: a module that loads PyTorch or Stable-Baselines3 takes seconds, and is loaded when it is asked for."""


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
        require("tyro", "agents")  # what every command reads its options with
        command_of(COMMANDS[words[0]][0])(words[1:])
    except KeyboardInterrupt:
        resumes = words[0] in RESUMED or tuple(words[:2]) in RESUMED
        what = "continues where it was" if resumes else "starts anew"
        print(f"\nlatentctx: stopped; the same command {what}.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # whoever reads, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
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
