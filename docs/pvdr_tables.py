"""The tables of the study of PVDR, from agents/results/pvdr; `docs/tables.py` writes them."""

from pathlib import Path

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
}
METHODS = {
    "pvdr": "PVDR",
    "scratch": "without videos",
    "supervised": "without reinforcement",
    "one-sample": "one draw, nothing chosen",
}


def judged_table() -> str:
    """What the video models foretell of held-out clips."""
    rows = read_results([RESULTS / "judged.csv"])
    seeds = sorted({row["seed"] for row in rows})
    lines = ["| | " + " | ".join(f"seed {seed}" for seed in seeds) + " |", "|" + "---|" * (1 + len(seeds))]
    for metric, label in JUDGED.items():
        cells = [
            f"{row['value']:.2f}"
            for seed in seeds
            for row in rows
            if row["metric"] == metric and row["seed"] == seed
        ]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    first = rows[0]
    setting = first["setting"]
    facts = f"{setting['windows']} windows of held-out clips, {setting['samples']} draws each; {setting['steps']} steps"
    return "\n".join([*lines, "", f"{facts}; {first['hardware']}; commit {first['commit']}."])


def online_table() -> str:
    """Success and what is left of the way, at the beginning and at the end of each method's training."""
    rows = read_results([RESULTS / "online.csv"])
    budget = max(row["setting"]["decisions"] for row in rows if "decisions" in row["setting"])
    head = [
        "task",
        "method",
        "success before",
        "success after",
        "way left before",
        "way left after",
        "seeds",
    ]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for task in sorted({row["setting"]["task"] for row in rows}):
        for method, label in METHODS.items():
            cells = []
            for metric in ("success", "distance_left"):
                for decisions in (0, budget):
                    found = [
                        row["value"]
                        for row in rows
                        if row["metric"] == metric
                        and row["method"] == method
                        and row["setting"]["task"] == task
                        and row["setting"]["decisions"] == decisions
                    ]
                    if found:
                        cells.append(f"{np.mean(found):.2f}")
            seeds = {
                row["seed"] for row in rows if row["method"] == method and row["setting"]["task"] == task
            }
            if len(cells) == 4:
                lines.append(f"| {task} | {label} | {' | '.join(cells)} | {len(seeds)} |")
    first = rows[0]
    facts = f"{budget} decisions after the random ones, {first['setting']['episodes']} episodes an evaluation"
    return "\n".join([*lines, "", f"{facts}; {first['hardware']}; commit {first['commit']}."])
