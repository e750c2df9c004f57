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
    "straight": "straight to the goal, no plans",
}
DISTANCES = {
    "image": "mean colours of the frames (`image_distance`)",
    "tokens": "colours and codebook vectors of tokens",
    "actions": "learned from actions",
    "both": "the last two together",
}


def judged_table() -> str:
    """What the video models foretell of held-out clips, a column for each set of videos and seed."""
    rows = read_results([RESULTS / "judged.csv"])
    columns = dict.fromkeys(_trained(row) for row in rows)
    head = " | ".join(columns)
    lines = [f"| | {head} |", "|" + "---|" * (1 + len(columns))]
    for metric, label in JUDGED.items():
        own = [row for row in rows if row["metric"] == metric]
        found = {_trained(r): f"{r['value']:.2f}" for r in own}
        lines.append(f"| {label} | {' | '.join(found.get(column, '') for column in columns)} |")
    setting = rows[0]["setting"]
    facts = f"{setting['windows']} windows of held-out clips, {setting['samples']} draws each; one seed"
    return "\n".join([*lines, "", f"{facts}; {_origin(rows)}."])


def _trained(row: dict[str, Any]) -> str:
    """On what a model was trained and for how long."""
    stride = row["setting"].get("stride", 1)
    apart = f", {stride} frames apart" if stride > 1 else ""
    return f"{row['dataset']}, {row['setting']['steps']:,} steps{apart}"


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


def actions_table() -> str:
    """What is reached with the distance that is learned from actions: each task and method over its training."""
    rows = read_results([RESULTS / "actions.csv"])
    lines = [
        "| task | method | success before | success after | mean on the way | goal after [mm] | seeds |",
        "|" + "---|" * 7,
    ]
    order = list(METHODS)
    groups = dict.fromkeys((r["setting"]["task"], r["method"], r["setting"].get("stride", 1)) for r in rows)
    for task, method, stride in sorted(
        groups, key=lambda g: (g[0] != "reach-v3", g[0], order.index(g[1]), g[2])
    ):
        own = [
            r
            for r in rows
            if (r["setting"]["task"], r["method"], r["setting"].get("stride", 1)) == (task, method, stride)
        ]
        last = max(r["setting"].get("decisions", 0) for r in own)

        def each(metric: str, decisions: int | None, own: list[dict[str, Any]] = own) -> list[float]:
            return [
                r["value"]
                for r in sorted(own, key=lambda r: r["seed"])
                if r["metric"] == metric and r["setting"].get("decisions") == decisions
            ]

        before, after, area = each("success", 0), each("success", last), each("success_area", None)
        left = each("goal_distance", last)
        cells = [
            task,
            METHODS[method] + (f", {stride} frames a decision" if stride > 1 else ""),
            _listed(before),
            _listed(after),
            f"{np.mean(area):.2f}",
            f"{1000 * np.mean(left):.0f}" if left else "",
            str(len(after)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    first = rows[0]["setting"]
    facts = (
        f"{100 * first['random_episodes']:,} random decisions, then {first['budget']:,}; {first['plans']} plans, "
        f"{first['episodes']} episodes an evaluation, each seed's success"
    )
    return "\n".join([*lines, "", f"{facts}; {_origin(rows)}."])


def distances_table() -> str:
    """How well each distance ranks the frames of random episodes by how far the goal really is."""
    rows = read_results([RESULTS / "distances.csv"])
    counts = sorted({r["setting"]["random_episodes"] for r in rows})
    head = " | ".join(f"rank, {100 * count:,} decisions | chosen frame [mm]" for count in counts)
    lines = [f"| distance | {head} |", "|" + "---|" * (1 + 2 * len(counts))]

    def mean(metric: str, method: str, count: int) -> float:
        return float(
            np.mean(
                [
                    r["value"]
                    for r in rows
                    if (r["metric"], r["method"], r["setting"]["random_episodes"]) == (metric, method, count)
                ]
            )
        )

    for method, label in DISTANCES.items():
        cells = [
            f"{mean('rank', method, count):.2f} | {1000 * mean('chosen', method, count):.0f}"
            for count in counts
        ]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    nearest, average = (1000 * mean(metric, "image", counts[0]) for metric in ("nearest", "average"))
    first = rows[0]["setting"]
    seeds = len({r["seed"] for r in rows})
    facts = (
        f"{first['task']}, {first['held_out']} other random episodes: the nearest frame is {nearest:.0f} mm from the goal, an average one "
        f"{average:.0f} (with {100 * counts[0]:,} decisions); {seeds} seed{'s' * (seeds > 1)}"
    )
    return "\n".join([*lines, "", f"{facts}; {_origin(rows)}."])


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _origin(rows: list[dict[str, Any]]) -> str:
    """Hardware and commits of rows."""
    commits = ", ".join(dict.fromkeys(row["commit"] for row in rows))
    return f"{rows[0]['hardware']}; commit {commits}"
