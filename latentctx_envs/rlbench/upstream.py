"""Modules of RLBench and PyRep, imported when they are first needed."""

import importlib
from types import ModuleType

NEEDS = (
    "LatentCtx-RLBench-v0 needs CoppeliaSim 4.1, and PyRep and RLBench from their git repositories at "
    "github.com/stepjam (the package index has another package called pyrep, which does not help)"
)
PAGE = "docs/envs/rlbench.md says how to install them"


def module(name: str) -> ModuleType:
    """Import a module of RLBench or PyRep.

    Raises:
        ImportError: it, or something that it needs, is not installed; the message is one line that names all of it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise ImportError(f"{NEEDS}; {reason}; {PAGE}.", name=error.name) from None


def check_installed() -> None:
    """Import PyRep and RLBench.

    Raises:
        ImportError: one of them is missing, CoppeliaSim's library is not found, or `pyrep` is the other package.
    """
    module("pyrep")
    try:
        module("pyrep.backend")
    except ImportError as error:
        if error.name != "pyrep.backend":
            raise
        raise ImportError(
            f"{NEEDS}; the pyrep that is installed is that other one: uninstall it; {PAGE}.", name=error.name
        ) from None
    module("rlbench")
