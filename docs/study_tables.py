"""The tables of the study of arXiv 2305.16985, from agents/results/inverse_dynamics; `docs/tables.py` writes them."""

from pathlib import Path
from typing import Any

import numpy as np
from table_text import Rows, matching, origin, seeds_of, table, values_of

from latentctx_agents.estimates import interval_of
from latentctx_agents.plots import LABELS
from latentctx_agents.representations import OBJECTIVES
from latentctx_agents.results import read_results
from latentctx_agents.stats import iqm

RESULTS = Path(__file__).parents[1] / "agents" / "results" / "inverse_dynamics"
DEFAULT = {"n_step": 1, "goal_visible": False, "pretrain_dataset": None, "preset": "quick", "pretrain": 1000}

# The same by the number of contexts that are pretrained on, with its default number of demonstrations
PAPER_CONTEXTS: dict[str, dict[str, dict[int, float]]] = {
    "point-mass": {
        "inverse_dynamics": {10: 0.155, 100: 0.220, 1000: 0.718},
        "behavior_cloning": {10: 0.166, 100: 0.144, 1000: 0.250},
    },
}

# The same with the finetuning task among those that are pretrained on
PAPER_IN_DISTRIBUTION: dict[str, dict[str, dict[int, float]]] = {
    "door": {
        "inverse_dynamics": {2: 0.18, 5: 0.68, 10: 0.74},
        "behavior_cloning": {2: 0.24, 5: 0.52, 10: 0.59},
    },
}

# The paper's success, digitised from its figures, with its largest pretraining set: world -> demonstrations -> method
PAPER: dict[str, dict[int, dict[str, float]]] = {
    "point-mass": {
        2: {"inverse_dynamics": 0.72, "behavior_cloning": 0.25, "implicit_forward_dynamics": 0.48,
            "explicit_forward_dynamics": 0.20, "static_contrastive": 0.52, "scratch": 0.24, "states": 0.62,
            "expert": 0.88},
    },
    "pick-place": {
        2: {"inverse_dynamics": 0.34, "behavior_cloning": 0.30, "implicit_forward_dynamics": 0.31,
            "explicit_forward_dynamics": 0.37, "static_contrastive": 0.09, "scratch": 0.24, "states": 0.52},
        5: {"inverse_dynamics": 0.83, "behavior_cloning": 0.75, "implicit_forward_dynamics": 0.80,
            "explicit_forward_dynamics": 0.80, "static_contrastive": 0.19, "scratch": 0.51, "states": 0.77},
        10: {"inverse_dynamics": 0.98, "behavior_cloning": 0.99, "implicit_forward_dynamics": 0.97,
             "explicit_forward_dynamics": 0.96, "static_contrastive": 0.25, "scratch": 0.85, "states": 0.97},
    },
    "ml45": {
        5: {"inverse_dynamics": 0.28, "behavior_cloning": 0.26, "scratch": 0.39, "states": 0.55},
        10: {"inverse_dynamics": 0.40, "behavior_cloning": 0.45, "scratch": 0.44, "states": 0.78},
    },
    "r3m": {
        5: {"inverse_dynamics": 0.41, "behavior_cloning": 0.44, "scratch": 0.50, "states": 0.72},
        10: {"inverse_dynamics": 0.69, "behavior_cloning": 0.60, "scratch": 0.68, "states": 0.82},
    },
}  # fmt: skip


def rows_of(world: str) -> list[dict[str, Any]]:
    """All measurements of a world."""
    return read_results(sorted((RESULTS / world).glob("*.csv")))


def chosen(rows: Rows, metric: str, method: str, **setting: Any) -> list[dict[str, Any]]:
    """The rows of a metric and a method in a setting; what is not said is the default."""
    wanted = {**DEFAULT, **setting}
    if method in ("states", "expert"):
        wanted.pop("goal_visible")
    if method == "expert":
        wanted.pop("demos", None)
    if method not in OBJECTIVES:
        wanted.pop("n_step")
        wanted.pop("pretrain_dataset")
        wanted["pretrain"] = 0  # that of the mean image is the usual one
    return matching(rows, metric=metric, method=method, **wanted)


def success_in(rows: Rows, method: str, **setting: Any) -> tuple[float, float, float] | None:
    """Mean success of a method in a setting with its 95 % interval over goals, seeds and episodes; None without rows."""
    found = chosen(rows, "success", method, **setting)
    if not found:
        return None
    low, high = interval_of(found, found[0]["setting"]["episodes"])
    return float(np.mean(values_of(found))), low, high


def by_seed(rows: Rows) -> list[float]:
    """Mean over goals, for each seed in order."""
    seeds = sorted({row["seed"] for row in rows})
    return [float(np.mean(values_of(rows, seed=seed))) for seed in seeds]


def study_table(world: str, demos: int) -> str:
    """Every method in the study's main setting of a world, beside the paper."""
    rows = rows_of(world)
    lines, shown = [], []
    arms = [(method, label, "quick") for method, label in LABELS.items()]
    # the only rows of other settings so far: random shifts of the frames
    arms.append(("static_contrastive", "static contrastive, shifts of 4 px", "custom"))
    for method, label, preset in arms:
        setting = {"preset": preset}
        found = chosen(rows, "success", method, demos=demos, **setting)
        if not found:
            continue
        shown += found
        values = np.array(values_of(found))
        low, high = interval_of(found, found[0]["setting"]["episodes"])
        paper = PAPER.get(world, {}).get(demos, {}).get(method)
        held_out = values_of(chosen(rows, "clone_loss_held_out", method, demos=demos, **setting))
        probe = values_of(chosen(rows, "position_unexplained", method, **setting))
        lines.append(
            [
                label,
                f"{values.mean():.2f}",
                f"[{low:.2f}, {high:.2f}]",
                f"{iqm(values):.2f}",
                ", ".join(f"{value:.2f}" for value in by_seed(found)),
                "" if paper is None else f"{paper:.2f}",
                f"{np.mean(held_out):.3f}" if held_out else "",
                f"{np.mean(probe):.2g}" if probe else "",
            ]
        )
    head = ["method", "success", "95 % interval", "IQM", "each seed", "paper"]
    return table(
        [*head, "loss on held-out demonstrations", "position unexplained"], lines, _facts(shown, demos)
    )


def _facts(shown: Rows, demos: int) -> str:
    """The setting of the rows that a table shows."""
    episodes = shown[0]["setting"]["episodes"]
    return f"{demos} demonstrations, {episodes} episodes a goal, 5 goals, {seeds_of(shown)}; {origin(shown)}"


def demos_table(world: str) -> str:
    """Success of every method by the number of demonstrations, and how many times behaviour cloning inverse dynamics is."""
    rows = rows_of(world)
    counts = _demos_in(rows)
    lines = []
    for method, label in LABELS.items():
        cells = [success_in(rows, method, demos=count) for count in counts]
        if method != "expert" and all(cells):
            found = [f"{cell[0]:.2f} [{cell[1]:.2f}, {cell[2]:.2f}]" for cell in cells if cell is not None]
            lines.append([label, *found])
    return table(["method", *map(str, counts)], lines, "Mean success and 95 % interval; otherwise as above.")


def _demos_in(rows: Rows) -> list[int]:
    """The numbers of demonstrations that were studied."""
    return sorted({row["setting"].get("demos", 0) for row in rows} - {0})  # the expert needs none


def beside_paper_table(world: str, folder: str | None = None) -> str:
    """Success of every method by the number of demonstrations, the paper's in brackets, and the seeds of each row.

    Args:
        world: whose figures of the paper.
        folder: of the results; by default the world's.
    """
    rows = rows_of(folder or world)
    counts = _demos_in(rows)
    lines, shown = [], []
    for method, label in LABELS.items():
        found = {count: chosen(rows, "success", method, demos=count) for count in counts}
        if method == "expert" or not all(found.values()):
            continue
        cells = []
        for count, own in found.items():
            paper = PAPER[world][count].get(method)
            cells.append(f"{np.mean(values_of(own)):.2f}" + ("" if paper is None else f" ({paper:.2f})"))
            shown += own
        seeds = {len({row["seed"] for row in own}) for own in found.values()}
        lines.append([label, *cells, str(max(seeds))])
    facts = f"{shown[0]['setting']['episodes']} episodes a goal, 5 goals; {origin(shown)}"
    note = f"Mean success (the paper's) by the number of demonstrations, {facts}"
    return table(["method", *map(str, counts), "seeds"], lines, note)


def in_distribution_table(world: str, dataset: str) -> str:
    """Success by the number of demonstrations where the finetuning task is pretrained on, the paper's in brackets."""
    rows = rows_of(world)
    counts = _demos_in(rows)
    lines, shown = [], []
    for method, label in LABELS.items():
        for n_step in (1, 5):
            cells, own = [], []
            for count in counts:
                setting = {"demos": count, "n_step": n_step, "pretrain_dataset": dataset}
                found = chosen(rows, "success", method, **setting)
                paper = PAPER_IN_DISTRIBUTION[world].get(method, {}).get(count) if n_step == 1 else None
                mean = f"{np.mean(values_of(found)):.2f}" if found else ""
                cells.append(mean if paper is None else f"{mean} ({paper:.2f})")
                own += found
            if own and method != "expert" and (n_step == 1 or method in OBJECTIVES):
                apart = f", frames {n_step} steps apart" if n_step > 1 else ""
                lines.append([label + apart, *cells])
                shown += own
    facts = f"{shown[0]['setting']['episodes']} episodes a task, 5 draws of demonstrations, {seeds_of(shown)}"
    head = ["method", *map(str, counts)]
    return table(
        head, lines, f"Mean success (the paper's) by the number of demonstrations, {facts}; {origin(shown)}"
    )


def contexts_table(world: str, demos: int) -> str:
    """Success by the number of contexts that were pretrained on, the paper's in brackets, and the seeds of each cell."""
    rows = rows_of(world)
    counts = sorted({row["setting"].get("pretrain", 0) for row in rows} - {0})
    lines, shown = [], []
    for method, paper in PAPER_CONTEXTS[world].items():
        cells = []
        for count in counts:
            found = chosen(rows, "success", method, demos=demos, pretrain=count)
            shown += found
            mean = f"{np.mean(values_of(found)):.2f} ({paper[count]:.2f}), {seeds_of(found)}" if found else ""
            cells.append(mean)
        lines.append([LABELS[method], *cells])
    note = f"Mean success (the paper's), {demos} demonstrations; {origin(shown)}"
    return table(["method", *(f"{count:,} contexts" for count in counts)], lines, note)


def n_step_table(world: str, demos: int) -> str:
    """Inverse dynamics by the distance of the two frames between which it is asked for the actions."""
    rows = rows_of(world)
    steps = sorted({row["setting"]["n_step"] for row in matching(rows, method="inverse_dynamics")})
    lines, shown = [], []
    for n_step in steps:
        found = chosen(rows, "success", "inverse_dynamics", demos=demos, n_step=n_step)
        low, high = interval_of(found, found[0]["setting"]["episodes"])
        held_out = values_of(
            chosen(rows, "clone_loss_held_out", "inverse_dynamics", demos=demos, n_step=n_step)
        )
        probe = values_of(chosen(rows, "position_unexplained", "inverse_dynamics", n_step=n_step))
        each = ", ".join(f"{value:.2f}" for value in by_seed(found))
        numbers = (f"{np.mean(values_of(found)):.2f}", f"[{low:.2f}, {high:.2f}]", each)
        lines.append([str(n_step), *numbers, f"{np.mean(held_out):.3f}", f"{np.mean(probe):.2g}"])
        shown += found
    head = ["steps between the frames", "success", "95 % interval", "each seed"]
    head += ["loss on held-out demonstrations", "position unexplained"]
    return table(head, lines, _facts(shown, demos))


def visible_table(world: str, demos: int) -> str:
    """Success with the goal hidden and with the goal in the frames."""
    rows = rows_of(world)
    lines, shown = [], []
    for method, label in LABELS.items():
        cells, own = [], []
        for visible in (False, True):
            found = success_in(rows, method, demos=demos, goal_visible=visible)
            if found is None or method in ("states", "expert"):
                break
            mean, low, high = found
            cells += [f"{mean:.2f}", f"[{low:.2f}, {high:.2f}]"]
            own += chosen(rows, "success", method, demos=demos, goal_visible=visible)
        if len(cells) == 4:
            lines.append([label, *cells])
            shown += own
    head = ["method", "goal hidden", "95 % interval", "goal visible", "95 % interval"]
    return table(head, lines, _facts(shown, demos))


def features_table(world: str) -> str:
    """How much of one representation is not explained by another, mean over seeds."""
    rows = [
        row
        for row in rows_of(world)
        if row["metric"] == "features_unexplained"
        and row["setting"]["pretrain"] in (0, DEFAULT["pretrain"])  # 0: the random encoder's
        and all(row["setting"].get(name) == value for name, value in DEFAULT.items() if name != "pretrain")
    ]
    names = [name for name in LABELS if any(row["method"] == name for row in rows)]
    lines = []
    for method in names:
        cells = []
        for other in names:
            found = values_of(rows, method=method, of=other)
            cells.append(f"{np.mean(found):.2f}" if found else "")
        lines.append([LABELS[method], *cells])
    note = "Share of the variance of the column's features that a linear-output network on the row's does not explain"
    return table(
        ["from", *(LABELS[name] for name in names)], lines, f"{note}; {seeds_of(rows)}; {origin(rows)}"
    )
