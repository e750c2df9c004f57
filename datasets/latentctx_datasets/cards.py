"""Dataset cards: who made what, how, how many, how well, with which hash."""

from pathlib import Path

import numpy as np

from latentctx_datasets import library
from latentctx_datasets.recipes import Recipe


def write_card(recipe: Recipe, directory: Path) -> Path:
    """Write the dataset's card `<directory>/<id with dashes>.md` from what the dataset holds; its path."""
    facts = library.info(recipe.id)
    dataset = library.load(recipe.id)
    returns = [np.sum(episode.rewards) for episode in dataset.iterate_episodes()]
    requirements = dataset.storage.metadata["requirements"]
    settings = "".join(f", `{name}={value!r}`" for name, value in recipe.env_kwargs.items())
    players = ", ".join(f"`{name}`" for name in recipe.demonstrators)
    path = directory / f"{recipe.id.replace('/', '-')}.md"
    path.write_text(
        f"""# {recipe.id}

{recipe.description}

| | |
|---|---|
| environment | `{recipe.env_id}`{settings}, state observations; pixels are derived from the stored physics states |
| demonstrator | {players} |
| episodes | {facts["episodes"]} ({facts["steps"]} steps, {_count(facts["contexts"], "context")}) |
| return | {np.mean(returns):.1f} on average ({np.min(returns):.1f} to {np.max(returns):.1f}) |
| success | {facts["success_rate"]:.3f} of the episodes; failures are kept and flagged |
| size | {facts["megabytes"]} MB |
| content hash | `{facts["content_hash"]}` |
| made with | {", ".join(item.replace("==", " ") for item in requirements)} |
| command | `latentctx data build {recipe.id}` |
"""
    )
    return path


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
