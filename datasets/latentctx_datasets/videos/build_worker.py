"""A process that builds shards for `latentctx_datasets.videos.building`; its parent starts it."""

import json
import os
import signal
import sys
from pathlib import Path

from latentctx_datasets.videos.building import PLAN, TICKET, build_shard


def main(folder: Path, tickets: int, done: int) -> None:
    """Build the shards that the tickets name until none is left or the parent is gone.

    Args:
        folder: of the set.
        tickets: pipe of numbers of shards.
        done: pipe of those that are finished.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it ends us
    parent = os.getppid()
    plan = json.loads((folder / PLAN).read_text())
    while ticket := os.read(tickets, TICKET):
        number = int.from_bytes(ticket, sys.byteorder)
        if not build_shard(folder, plan, number, wanted=lambda: os.getppid() == parent):
            return
        os.write(done, ticket)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"latentctx: {error}")
