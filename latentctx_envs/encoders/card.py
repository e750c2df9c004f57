"""The card (README.md) that travels with a saved encoder."""

import json
from collections.abc import Mapping
from typing import Any


def encoder_card(config: Mapping[str, Any]) -> str:
    """Markdown with a YAML header, made from `config.json`'s content alone.

    A published encoder's `config["published"]` holds its name, the world and keyword arguments that show its frames,
    how much half precision changed the features, the last numbers of its training, and success measured on it.
    """
    training = dict(config.get("training", {}))
    published = config.get("published")
    rows = [f"| {key} | {_plain(value)} |" for key, value in sorted(training.items())]
    table = "\n".join(["| training | |", "|---|---|", *rows]) if rows else "Not trained: random weights."
    parts = [_use(published), f"Architecture: `{json.dumps(config['architecture'])}`", table]
    if published is not None:
        parts += [_storage(config, published), *_metrics(published), _success(published)]
    body = "\n\n".join(parts)
    return f"""---
library_name: latentctx-envs
license: mit
tags: [latentctx, gymnasium, imitation-learning, representation-learning]
---
# {published["name"] if published is not None else config["encoder"] + " encoder"}

{config.get("reads", "uint8 frames")} -> float32 features. Wrap an environment with it:

{body}
"""


def _use(published: Mapping[str, Any] | None) -> str:
    """Code that wraps an environment."""
    lines = ["from latentctx_envs.wrappers import EncodeObservation"]
    if published is None:
        lines += ['env = EncodeObservation(env, "path/to/this/directory")']
    else:
        given = "".join(f", {key}={_literal(value)}" for key, value in published["arguments"].items())
        lines = ["import gymnasium as gym", "import latentctx_envs", *lines]
        lines += [f'env = gym.make("{published["world"]}"{given})']
        lines += [f'env = EncodeObservation(env, "{published["name"]}")']
    return "\n".join(f"    {line}" for line in lines)


def _storage(config: Mapping[str, Any], published: Mapping[str, Any]) -> str:
    """How the weights are stored and what that costs."""
    shown = published.get("shown", "frames of the dataset's first episodes")
    changes = f"no feature by more than {published['max_difference']:.2g} on {published['frames']:,} {shown}"
    if "spread" in published:
        changes += (
            f" (root mean square: {published['rms_difference']:.2g}, where features spread by "
            f"{published['spread']:.2g} around their means)"
        )
    if "changed_tokens" in published:
        changes += f", and {100.0 * published['changed_tokens']:.2g} % of the tokens"
    size = f"{published['numbers']:,} numbers, {published['bytes']:,} bytes. " if "bytes" in published else ""
    return (
        f"{size}Weights are stored as {config['weights']} (buffers, such as a mean image, as float32) and loaded as "
        f"float32. That changes {changes}. "
        f"Content hash of what is loaded: `{published['content_hash']}`.\n\n"
        f"Published with `{published['command']}`."
    )


def _metrics(published: Mapping[str, Any]) -> list[str]:
    """A table of the last numbers of the training, if they were kept."""
    rows = [
        f"| {name} | {value:,} |"
        for stage, found in published.get("metrics", {}).items()
        for name, value in ((f"{stage} {key}".strip(), value) for key, value in found.items())
    ]
    return ["\n".join(["| at the end of the training | |", "|---|---|", *rows])] if rows else []


def _success(published: Mapping[str, Any]) -> str:
    """The table of success, or that there is none."""
    results = published.get("results", [])
    if not results:
        return "Success on this encoder is not recorded."
    lines = [
        "| method | setting | success | 95 % interval over contexts | contexts | episodes |",
        "|---|---|---|---|---|---|",
    ]
    for row in results:
        name = f"**{row['method']}** (this encoder)" if row["own"] else row["method"]
        setting = ", ".join(f"{key} {value}" for key, value in row["setting"].items())
        interval = f"[{row['low']:.2f}, {row['high']:.2f}]" if row["contexts"] > 1 else ""
        counts = f"{row['contexts']} | {row['episodes']}"
        lines.append(f"| {name} | {setting} | {row['success']:.2f} | {interval} | {counts} |")
    commands = sorted({f"`{row['command']}`" for row in results})
    notes = sorted({f"{row['hardware']}, commit {row['commit']}" for row in results})
    sources = sorted({f"study `{row['study']}` on `{row['dataset']}`, seed {row['seed']}" for row in results})
    found = f"Measured before rounding. From {'; '.join(sources)}: {', '.join(commands)}. {'; '.join(notes)}."
    return "\n".join([*lines, "", found])


def _literal(value: Any) -> str:
    """A JSON value as Python."""
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`".replace("|", "\\|")
