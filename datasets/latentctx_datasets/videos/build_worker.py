"""A process that builds shards for `latentctx_datasets.videos.building`; its parent starts it."""

import json
from pathlib import Path

from latentctx_datasets.tickets import Wanted, Work, serve
from latentctx_datasets.videos.building import PLAN, build_shard


def shards_of(folder: Path) -> Work:
    """What builds a shard of the folder's plan."""
    plan = json.loads((folder / PLAN).read_text())

    def work(number: int, wanted: Wanted) -> bool:
        return build_shard(folder, plan, number, wanted)

    return work


if __name__ == "__main__":
    serve(shards_of)
