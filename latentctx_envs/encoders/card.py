"""The card (README.md) that travels with a saved encoder."""

import json
from collections.abc import Mapping
from typing import Any


def encoder_card(config: Mapping[str, Any]) -> str:
    """Markdown with a YAML header, made from `config.json`'s content alone."""
    training = dict(config.get("training", {}))
    rows = [f"| {key} | {_plain(value)} |" for key, value in sorted(training.items())]
    table = "\n".join(["| training | |", "|---|---|", *rows]) if rows else "Not trained: random weights."
    return f"""---
library_name: latentctx-envs
license: mit
tags: [latentctx, gymnasium, imitation-learning, representation-learning]
---
# {config["encoder"]} encoder

uint8 frames -> float32 features. Wrap an environment with it:

    from latentctx_envs.wrappers import EncodeObservation
    env = EncodeObservation(env, "path/to/this/directory")

Architecture: `{json.dumps(config["architecture"])}`

{table}
"""


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`".replace("|", "\\|")
