"""The tables of the study of AIME, from agents/results/aime; `docs/tables.py` writes them."""

from pathlib import Path

import numpy as np
from table_text import Rows, groups_of, matching, origin, seeds_of, table, values_of

from latentctx_agents.plots import LABELS
from latentctx_agents.results import read_results

RESULTS = Path(__file__).parents[1] / "agents" / "results" / "aime"
SETTINGS = {"pixels": "Visual", "position": "LPOMDP", "state": "MDP"}

# The paper's returns as shares of its experts' [%]: (experience, task) -> BCO(0) in Visual, LPOMDP, MDP, then AIME in the same.
# Its own files and its prose disagree on which of AIME's two low-dimensional columns of the walker is which.
PAPER: dict[str, dict[tuple[str, str], tuple[float, ...]]] = {
    "walker": {
        ("random", "stand"): (11.8, 24.3, 57.1, 17.1, 40.7, 40.1),
        ("random", "walk"): (2.1, 3.4, 13.5, 5.9, 17.2, 17.6),
        ("random", "run"): (3.1, 3.7, 7.3, 6.6, 11.7, 14.0),
        ("plan2explore", "stand"): (16.4, 73.0, 88.3, 96.6, 91.7, 96.6),
        ("plan2explore", "walk"): (11.3, 23.4, 67.5, 71.6, 75.6, 84.1),
        ("plan2explore", "run"): (10.2, 14.3, 19.7, 36.4, 55.3, 75.6),
        ("stand-replay", "stand"): (88.1, 86.8, 94.1, 95.4, 95.2, 91.6),
        ("stand-replay", "walk"): (8.7, 14.2, 89.6, 63.4, 93.4, 86.9),
        ("stand-replay", "run"): (11.0, 20.3, 21.9, 11.3, 64.7, 57.7),
        ("walk-replay", "stand"): (61.3, 74.8, 80.7, 82.2, 98.4, 92.3),
        ("walk-replay", "walk"): (49.6, 57.1, 88.0, 89.5, 92.4, 81.8),
        ("walk-replay", "run"): (18.4, 23.6, 39.6, 59.9, 67.4, 61.9),
        ("run-replay", "stand"): (42.6, 66.3, 84.5, 84.3, 95.7, 92.6),
        ("run-replay", "walk"): (16.7, 40.3, 69.5, 88.9, 88.4, 89.1),
        ("run-replay", "run"): (11.4, 55.8, 84.1, 92.9, 84.6, 80.0),
        ("mix", "stand"): (79.1, 87.1, 87.8, 95.6, 83.5, 87.8),
        ("mix", "walk"): (34.6, 53.5, 89.2, 89.7, 80.9, 78.5),
        ("mix", "run"): (14.9, 23.2, 59.8, 61.1, 62.9, 77.4),
    },
    "cheetah": {
        ("random", "run"): (0.0, 9.8, 10.6, 1.1, 13.7, 0.1),
        ("random", "run-backward"): (0.0, 80.8, 93.3, 42.2, 97.3, 1.6),
        ("random", "flip"): (0.0, 8.6, 7.8, 6.8, 11.1, 0.4),
        ("random", "flip-backward"): (0.0, 10.8, 17.1, 12.7, 18.3, 4.2),
        ("plan2explore", "run"): (9.4, 13.9, 11.9, 17.6, 59.4, 17.2),
        ("plan2explore", "run-backward"): (49.9, 92.3, 97.2, 47.0, 100.2, 99.7),
        ("plan2explore", "flip"): (13.8, 21.8, 13.1, 0.9, 17.7, 24.4),
        ("plan2explore", "flip-backward"): (2.5, 12.2, 25.8, 24.4, 9.9, 26.5),
        ("run-replay", "run"): (11.2, 24.9, 27.3, 91.7, 44.5, 79.3),
        ("run-replay", "run-backward"): (36.9, 81.0, 97.4, 65.1, 96.7, 94.3),
        ("run-replay", "flip"): (10.1, 17.0, 23.7, 85.0, 13.9, 18.4),
        ("run-replay", "flip-backward"): (12.3, 8.6, 31.0, 26.3, 27.2, 32.5),
        ("run-backward-replay", "run"): (2.5, 12.5, 13.7, 6.6, 23.9, 7.1),
        ("run-backward-replay", "run-backward"): (84.3, 89.9, 94.3, 88.1, 97.9, 100.5),
        ("run-backward-replay", "flip"): (17.0, 3.4, 13.3, 8.7, 10.5, 16.9),
        ("run-backward-replay", "flip-backward"): (8.9, 27.7, 29.8, 11.2, 10.1, 19.7),
        ("flip-replay", "run"): (7.9, 9.3, 12.6, 58.8, 16.3, 9.5),
        ("flip-replay", "run-backward"): (42.8, 79.1, 101.5, 71.0, 82.8, 97.5),
        ("flip-replay", "flip"): (12.3, 25.0, 42.9, 99.4, 33.4, 95.9),
        ("flip-replay", "flip-backward"): (5.9, 22.1, 44.6, 21.5, 8.9, 4.9),
        ("flip-backward-replay", "run"): (10.8, 13.9, 13.9, 11.3, 8.7, 9.6),
        ("flip-backward-replay", "run-backward"): (24.5, 84.8, 73.5, 48.4, 80.7, 86.3),
        ("flip-backward-replay", "flip"): (11.2, 14.0, 18.9, 6.0, 13.8, 14.3),
        ("flip-backward-replay", "flip-backward"): (33.0, 45.6, 82.5, 43.2, 51.5, 77.2),
    },
}  # fmt: skip


IMITATIONS = {  # file -> numbers of a latent state (h and z), updates of phase 2, windows of each, how the rate goes
    "long.csv": ("128 + 32", "5,000", "16", "falls to 0"),
    "10k.csv": ("128 + 32", "10,000", "16", "falls to 0"),
    "8k-48.csv": ("128 + 32", "8,000", "48", "falls to 0"),
    "20k-constant.csv": ("128 + 32", "20,000", "16", "stays"),
    "30k.csv": ("128 + 32", "30,000", "16", "falls to 0"),
    "256-10k.csv": ("256 + 64", "10,000", "16", "falls to 0"),
    "256-20k.csv": ("256 + 64", "20,000", "16", "falls to 0"),
    "256-30k.csv": ("256 + 64", "30,000", "16", "falls to 0"),
}


def paper_share(body: str, known: str, task: str, method: str, observed: str) -> float | None:
    """The paper's number of a cell, or None where it has none."""
    found = PAPER[body].get((known, task))
    if found is None or method not in ("bco", "aime"):
        return None
    return found[3 * (method == "aime") + list(SETTINGS).index(observed)]


def aime_table(body: str, file: str, observed: str) -> str:
    """Returns as shares of the noiseless expert's, every experience and task, the paper's in brackets.

    Args:
        body: "walker" or "cheetah".
        file: name of the CSV, of one preset.
        observed: the setting.
    """
    rows = matching(read_results([RESULTS / body / file]), metric="expert_share", observed=observed)
    methods = _methods(rows)
    lines = [
        [known, task, *(_cell(rows, body, known, task, method, observed) for method in methods)]
        for known, task in groups_of(rows, "set", "task")
        if known
    ]
    setting = rows[0]["setting"]
    noisy = setting.get("noisy", False)  # rows older than the choice have none
    shown = f"{setting['demos']} demonstrations{' with noisy actions' * noisy}"
    facts = f"[% of the return of the expert, which has no noise; paper's of its experts'] {shown}"
    preset = setting["preset"]
    settings = "the settings that the CSV's command names" if preset == "custom" else f"preset {preset}"
    counts = f"{setting['episodes']} episodes, {seeds_of(rows)}, {settings}"
    return table(["experience", "shown", *map(_label, methods)], lines, f"{facts}, {counts}; {origin(rows)}")


def demos_table(body: str, file: str) -> str:
    """Returns as shares of the noiseless expert's after more and more demonstrations, of each method.

    Args:
        body: "walker" or "cheetah".
        file: name of the CSV, of one experience, task and setting.
    """
    rows = matching(read_results([RESULTS / body / file]), metric="expert_share")
    methods = _methods(rows)
    lines = []
    for count in sorted({row["setting"]["demos"] for row in rows}):
        shares = [values_of(rows, method=name, demos=count) for name in methods]
        cells = [f"{100 * np.mean(share):.0f}" if share else "" for share in shares]
        lines.append([str(count), *cells])
    setting = matching(rows, method="aime")[0]["setting"]
    facts = f"[% of the return of the expert, which has no noise] {setting['set']}, {setting['task']}, {setting['observed']}"
    note = f"{facts}, {setting['episodes']} episodes, {seeds_of(rows)}; {origin(rows)}"
    return table(["demonstrations", *map(_label, methods)], lines, note)


def imitation_table(body: str, known: str, task: str, observed: str) -> str:
    """What AIME earns after more and more updates of phase 2 on one world model, and on a larger one.

    Args:
        body: whose results.
        known: the experience.
        task: what is shown.
        observed: the setting.
    """
    lines, shown = [], []
    for file, length in IMITATIONS.items():
        rows = matching(read_results([RESULTS / body / file]), set=known, task=task, observed=observed)
        own = matching(rows, method="aime")
        share, earned, spread, error = (
            float(np.mean(values_of(own, metric=name)))
            for name in ("expert_share", "return", "return_std", "action_error")
        )
        lines.append([*length, f"{100 * share:.0f}", f"{earned:.0f} +- {spread:.0f}", f"{error:.3f}"])
        shown += own
    head = [
        "latent state",
        "updates",
        "windows an update",
        "rate",
        "% of the expert",
        "return",
        "error of inferred actions",
    ]
    note = f"{known}, {task}, {shown[0]['setting']['episodes']} episodes, {seeds_of(shown)}; {origin(shown)}"
    return table(head, lines, note)


def _methods(rows: Rows) -> list[str]:
    """Those that have rows; who is told the actions stands last."""
    named = sorted(LABELS, key=lambda name: name == "behavior_cloning")
    return [name for name in named if any(row["method"] == name for row in rows)]


def _label(method: str) -> str:
    return "BC, true actions" if method == "behavior_cloning" else LABELS[method]


def _cell(rows: Rows, body: str, known: str, task: str, method: str, observed: str) -> str:
    own = matching(rows, method=method, task=task)
    found = values_of(own, set=known) + values_of(own, set="")
    if not found:
        return ""
    paper = paper_share(body, known, task, method, observed)
    beside = "" if paper is None else f" ({paper:.0f})"
    return f"{100 * np.mean(found):.0f}{beside}"


def online_table(body: str) -> str:
    """Returns before and after learning online, with the surrogate reward and without it, over seeds."""
    rows = read_results(sorted((RESULTS / f"{body}_online").glob("*.csv")))
    groups = groups_of(rows, "task", "surrogate_weight")
    lines = []
    for (task, weight), own in sorted(groups.items(), key=lambda group: (group[0][0], -group[0][1])):
        cells = []
        for method in ("aime", "aime_online"):
            returns, shares = (values_of(own, method=method, metric=m) for m in ("return", "shown_share"))
            cells.append(f"{' / '.join(f'{value:.0f}' for value in returns)}, {100 * np.mean(shares):.0f} %")
        lines.append([task, f"{weight:g}", *cells, str(len({row["seed"] for row in own}))])
    setting = matching(rows, method="aime_online")[0]["setting"]
    collected = setting["rounds"] * setting["episodes_a_round"]
    facts = (
        f"returns of each seed, mean share of the shown episodes' return; {collected} episodes collected, "
        f"{setting['rounds'] * setting['updates']:,} updates, {setting['episodes']} episodes a measurement"
    )
    return table(["shown", "w", "before", "after", "seeds"], lines, f"{facts}; {origin(rows)}")
