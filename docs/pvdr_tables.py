"""The tables of the study of PVDR, from agents/results/pvdr; `docs/tables.py` writes them."""

from pathlib import Path
from typing import Any

import numpy as np
from table_text import groups_of, matching, origin, seeds_of, table, values_of

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
    "lapo": "latent actions, no plans",
    "straight": "straight to the goal, no plans",
}
TOLD = {
    "came": "ways to the frames that came",
    "foretold": "ways to the frames that a z of the posterior foretells",
    "latent": "the context's features and that z",
}
KINDS = {"demos": "demonstrations", "play": "play"}
HORIZON = 4  # of the models whose rows do not name it
VIDEOS = {  # by the set's name and how many of its clips were trained on, where not all were
    ("arm", None): "both, 3,853 clips",
    ("demos", None): "demonstrations, 1,453",
    ("play", None): "play, 2,400",
    ("play", 240): "play, 240",
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
    lines = []
    for metric, label in JUDGED.items():
        found = {_trained(row): f"{row['value']:.2f}" for row in matching(rows, metric=metric)}
        lines.append([label, *(found.get(column, "") for column in columns)])
    setting = rows[0]["setting"]
    facts = (
        f"{setting['windows']} windows of held-out clips, {setting['samples']} draws each; {seeds_of(rows)}"
    )
    return table(["", *columns], lines, f"{facts}; {origin(rows)}")


def _trained(row: dict[str, Any]) -> str:
    """On what a model was trained and for how long."""
    stride = row["setting"].get("stride", 1)
    apart = f", {stride} frames apart" if stride > 1 else ""
    return f"{row['dataset']}, {row['setting']['steps']:,} steps{apart}"


def online_table() -> str:
    """Success and what is left of the way, at the beginning and at the end of each method's training."""
    rows = read_results([RESULTS / "online.csv"])
    order = list(METHODS)
    groups = groups_of(rows, "task", "method", "dataset", "budget")
    lines = []
    for (task, method, videos, _), own in sorted(
        groups.items(), key=lambda group: (group[0][0], group[0][2], order.index(group[0][1]))
    ):
        last = _last(own)
        means = [
            f"{np.mean(values_of(own, metric=metric, decisions=decisions)):.2f}"
            for metric in ("success", "distance_left")
            for decisions in (0, last)
        ]
        seeds = len({row["seed"] for row in own})
        lines.append([task, METHODS[method], videos or "-", f"{last:,}", *means, str(seeds)])
    head = ["task", "method", "videos", "decisions", "success before", "success after"]
    facts = f"decisions after the random ones, {rows[0]['setting']['episodes']} episodes an evaluation"
    return table([*head, "way left before", "way left after", "seeds"], lines, f"{facts}; {origin(rows)}")


def _last(rows: list[dict[str, Any]]) -> int:
    """Decisions at the last measurement."""
    return max(row["setting"].get("decisions", 0) for row in rows)


def actions_table(file: str) -> str:
    """What is reached with the distance that is learned from actions: each task and method over its training."""
    rows = sorted(read_results([RESULTS / file]), key=lambda row: row["seed"])
    order = list(METHODS)
    groups = groups_of(rows, "task", "method", "stride")
    lines = []
    for (task, method, stride), own in sorted(
        groups.items(), key=lambda g: (g[0][0] != "reach-v3", g[0][0], order.index(g[0][1]), g[0][2] or 1)
    ):
        before, after = (values_of(own, metric="success", decisions=d) for d in (0, _last(own)))
        area = values_of(own, metric="success_area", decisions=None)
        left = values_of(own, metric="goal_distance", decisions=_last(own))
        apart = f", {stride} frames a decision" if stride is not None and stride > 1 else ""
        goal = f"{1000 * np.mean(left):.0f}" if left else ""
        numbers = (_listed(before), _listed(after), f"{np.mean(area):.2f}", goal, str(len(after)))
        lines.append([task, METHODS[method] + apart, *numbers])
    first = rows[0]["setting"]
    facts = (
        f"{100 * first['random_episodes']:,} random decisions, then {first['budget']:,}; {first['plans']} plans, "
        f"{first['episodes']} episodes an evaluation, each seed's success"
    )
    head = [
        "task",
        "method",
        "success before",
        "success after",
        "mean on the way",
        "goal after [mm]",
        "seeds",
    ]
    return table(head, lines, f"{facts}; {origin(rows)}")


def films_table() -> str:
    """What is reached along films of demonstrations: each task, by plans and straight, each agent's success."""
    rows = sorted(matching(read_results([RESULTS / "acted.csv"]), goal="film"), key=lambda row: row["seed"])
    tasks = dict.fromkeys(row["setting"]["task"] for row in rows)
    lines = [
        [task, *(_listed(values_of(rows, task=task, method=by)) for by in ("straight", "plans"))]
        for task in tasks
    ]
    first = rows[0]["setting"]
    facts = (
        f"{first['episodes']} episodes, a number for each agent; agents of {first['trained_in']} after "
        f"{100 * first['random_episodes']:,} random decisions there"
    )
    return table(["task", "straight", "by plans"], lines, f"{facts}; {origin(rows)}")


def plans_table() -> str:
    """Success by how many plans a decision chooses among, of the same agents as in `films_table`."""
    rows = matching(read_results([RESULTS / "acted.csv"]), goal="picture", task="reach-v3")
    rows.sort(key=lambda row: row["seed"])
    counts = sorted({row["setting"]["plans"] for row in rows})
    line = ["success", *(_listed(values_of(rows, plans=count)) for count in counts)]
    first = rows[0]["setting"]
    facts = f"{first['task']}, {first['episodes']} episodes, a number for each agent; no decision after the random ones"
    return table(["plans a decision", *map(str, counts)], [line], f"{facts}; {origin(rows)}")


def imagined_table() -> str:
    """What is reached towards one picture: straight, and along films that a model of demonstrations imagines."""
    rows = sorted(read_results([RESULTS / "imagined.csv"]), key=lambda row: row["seed"])
    arms = groups_of(rows, "method", "imagined_after", "films")
    order = sorted(arms, key=lambda arm: (arm[0] == "imagined", arm[1] != "demos", arm[2] or 0))
    head = ["task"]
    for method, after, films in order:
        how = "the most likely film" if films == 1 else f"one of {films} films"
        head.append("straight" if method == "straight" else f"{how}, after videos of {KINDS[after]}")
    lines = []
    for task in dict.fromkeys(row["setting"]["task"] for row in rows):
        found = [values_of(arms[arm], task=task) for arm in order]
        lines.append([task, *(_listed(values) for values in found)])
    first = rows[0]["setting"]
    facts = (
        f"{first['episodes']} episodes, a number for each agent; agents of {first['trained_in']} after "
        f"{100 * first['random_episodes']:,} random decisions there"
    )
    return table(head, lines, f"{facts}; {origin(rows)}")


def models_table(axis: str) -> str:
    """Success after the random decisions by what the video model is: its horizon ("future"), or its "videos".

    Args:
        axis: which of the two; the others' rows differ in the other one.
    """
    usual = matching(read_results([RESULTS / "ways.csv"]), method="pvdr", task="reach-v3", decisions=0)
    rows = [*usual, *matching(read_results([RESULTS / "models.csv"]), decisions=0)]
    rows.sort(key=lambda row: row["seed"])
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        future = row["setting"].get("future", HORIZON)
        if axis == "future" and row["dataset"] == "arm":
            groups.setdefault(str(future), []).append(row)
        elif axis == "videos" and future == HORIZON:
            groups.setdefault(VIDEOS[row["dataset"], row["setting"].get("clips")], []).append(row)
    order = sorted(groups, key=int) if axis == "future" else VIDEOS.values()
    names = [name for name in order if name in groups]
    shown = [row for name in names for row in groups[name]]
    lines = [
        [
            label,
            *(
                _listed([factor * value for value in values_of(groups[name], metric=metric)], digits)
                for name in names
            ),
        ]
        for label, metric, factor, digits in (
            ("success", "success", 1, 2),
            ("goal at the end [mm]", "goal_distance", 1000, 0),
        )
    ]
    first = shown[0]["setting"]
    facts = f"reach-v3, {first['episodes']} episodes, each seed's; {100 * first['random_episodes']:,} random decisions, none after"
    head = "frames foretold" if axis == "future" else "videos"
    return table([head, *names], lines, f"{facts}; {origin(shown)}")


def distances_table() -> str:
    """How well each distance ranks the frames of random episodes by how far the goal really is."""
    rows = read_results([RESULTS / "distances.csv"])
    counts = sorted({row["setting"]["random_episodes"] for row in rows})

    def mean(metric: str, method: str, count: int) -> float:
        return float(np.mean(values_of(rows, metric=metric, method=method, random_episodes=count)))

    head, lines = ["distance"], [[label] for label in DISTANCES.values()]
    for count in counts:
        head += [f"rank, {100 * count:,} decisions", "chosen frame [mm]"]
        for line, method in zip(lines, DISTANCES, strict=True):
            line += [f"{mean('rank', method, count):.2f}", f"{1000 * mean('chosen', method, count):.0f}"]
    nearest, average = (1000 * mean(metric, "image", counts[0]) for metric in ("nearest", "average"))
    first = rows[0]["setting"]
    facts = (
        f"{first['task']}, {first['held_out']} other random episodes: the nearest frame is {nearest:.0f} mm from the "
        f"goal, an average one {average:.0f} (with {100 * counts[0]:,} decisions); {seeds_of(rows)}"
    )
    return table(head, lines, f"{facts}; {origin(rows)}")


def alignment_table() -> str:
    """How much of the first action of a plan is told by what, each seed."""
    rows = sorted(
        matching(read_results([RESULTS / "alignment.csv"]), metric="r2_action"), key=lambda row: row["seed"]
    )
    lines = [[label, _listed(values_of(rows, method=method))] for method, label in TOLD.items()]
    first = rows[0]["setting"]
    facts = (
        f"R2 of a linear reading, mean over the action's four numbers, each seed; {first['task']}, places from "
        f"{100 * first['random_episodes']:,} random decisions, readings from half of {100 * first['held_out']:,} others"
    )
    return table(["the action, from", "R2"], lines, f"{facts}; {origin(rows)}")


def _listed(values: list[float], digits: int = 2) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)
