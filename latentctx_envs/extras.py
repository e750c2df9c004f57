"""Optional dependencies: a missing one is named together with the extra that brings it."""

import importlib
from types import ModuleType


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module.

    Raises:
        ImportError: it is not installed; the message names the extra to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise ImportError(
            f"this needs {module}, which is not installed: pip install 'latentctx-envs[{extra}]'"
        ) from None
