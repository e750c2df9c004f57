"""The tables of the study of PVDR, from agents/results/pvdr; `docs/tables.py` writes them."""

from pathlib import Path
from typing import Any

import numpy as np

from latentctx_agents.results import read_results

RESULTS = Path(__file__).parents[1] / "agents" / "results" / "pvdr"
JUDGED = {
    "error_posterior": "error, z of what happened",
    "error_prior_mean": "error, z at the prior's mean",
    "error_prior": "error, a draw from the prior",
    "error_best": "error, the best of the draws",
    "accuracy_changed": "right tokens among those that change",
    "divergence": "divergence [nats]",
    "r2_context": "R2 of the hand's way, from the context",
    "r2_latent": "R2, from z",
    "r2_both": "R2, from both",
    "r2_place": "R2 of where the hand is, from the context",
}
METHODS = {
    "pvdr": "PVDR",
    "scratch": "without videos",
    "supervised": "without reinforcement",
    "one-sample": "one draw, nothing chosen",
    "goal-ppo": "PPO without plans",
}


def judged_table() -> str:
    """What the video models foretell of held-out clips, a column for each set of videos and seed."""
    rows = read_results([RESULTS / "judged.csv"])
    columns = dict.fromkeys((row["dataset"], row["setting"]["steps"]) for row in rows)
    head = " | ".join(f"{dataset}, {steps:,} steps" for dataset, steps in columns)
    lines = [f"| | {head} |", "|" + "---|" * (1 + len(columns))]
    for metric, label in JUDGED.items():
        own = [row for row in rows if row["metric"] == metric]
        found = {(r["dataset"], r["setting"]["steps"]): f"{r['value']:.2f}" for r in own}
        lines.append(f"| {label} | {' | '.join(found.get(column, '') for column in columns)} |")
    setting = rows[0]["setting"]
    facts = f"{setting['windows']} windows of held-out clips, {setting['samples']} draws each; one seed"
    return "\n".join([*lines, "", f"{facts}; {_origin(rows)}."])


def online_table() -> str:
    """Success and what is left of the way, at the beginning and at the end of each method's training."""
    rows = read_results([RESULTS / "online.csv"])
    head = (
        "task",
        "method",
        "videos",
        "decisions",
        "success before",
        "success after",
        "way left before",
        "way left after",
        "seeds",
    )
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    groups = dict.fromkeys(
        (r["setting"]["task"], r["method"], r["dataset"], r["setting"]["budget"]) for r in rows
    )
    order = list(METHODS)
    for task, method, videos, budget in sorted(groups, key=lambda g: (g[0], g[2], order.index(g[1]))):
        own = [
            r
            for r in rows
            if (r["setting"]["task"], r["method"], r["dataset"], r["setting"]["budget"])
            == (task, method, videos, budget)
        ]
        last = max(r["setting"].get("decisions", 0) for r in own)
        cells = [
            f"{np.mean([r['value'] for r in own if r['metric'] == metric and r['setting'].get('decisions') == decisions]):.2f}"
            for metric in ("success", "distance_left")
            for decisions in (0, last)
        ]
        seeds = len({r["seed"] for r in own})
        lines.append(
            f"| {task} | {METHODS[method]} | {videos or '-'} | {last:,} | {' | '.join(cells)} | {seeds} |"
        )
    facts = f"decisions after the random ones, {rows[0]['setting']['episodes']} episodes an evaluation"
    return "\n".join([*lines, "", f"{facts}; {_origin(rows)}."])


def _origin(rows: list[dict[str, Any]]) -> str:
    """Hardware and commits of rows."""
    commits = ", ".join(dict.fromkeys(row["commit"] for row in rows))
    return f"{rows[0]['hardware']}; commit {commits}"
