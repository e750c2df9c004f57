"""What a run is begun from, as the `origin` of its folder; nothing where that is not there (any more).

A finished run does without its data; another one says so where it opens them.
"""

from latentctx_agents.pvdr.tokens import content_hash
from latentctx_datasets import library
from latentctx_datasets.identity import content_of
from latentctx_datasets.videos import open_clips


def data_origin(dataset_id: str, name: str = "dataset") -> dict[str, str]:
    """The dataset of this id, as the `name` of what the run is begun from."""
    try:
        return {name: content_of(library.load(dataset_id))}
    except library.DatasetError:
        return {}


def videos_origin(videos: str) -> dict[str, str]:
    """The clips of this name or folder."""
    try:
        return {"videos": content_hash(open_clips(videos))}
    except library.DatasetError:
        return {}
