"""The `latentctx` command."""

from latentctx_agents.cli.main import main

__all__ = ["main"]
