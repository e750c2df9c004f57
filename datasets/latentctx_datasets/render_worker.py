"""A process that renders episodes for `latentctx_datasets.store`; its parent starts it."""

from pathlib import Path

from latentctx_datasets.store import PLAN, RenderPlan
from latentctx_datasets.tickets import Wanted, Work, serve


def chunks_of(folder: Path) -> Work:
    """What renders a chunk of the folder's plan."""
    plan = RenderPlan.read(folder / PLAN)

    def work(number: int, wanted: Wanted) -> bool:
        return plan.render(folder, number, wanted)

    return work


if __name__ == "__main__":
    serve(chunks_of)
