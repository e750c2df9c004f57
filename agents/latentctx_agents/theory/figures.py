"""The figures of the theory study, drawn from the rows of its CSVs."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latentctx_agents.plots import COLOURS, LABELS

NAMES = {**LABELS, "raw": "raw observation"}
PAINT = {**COLOURS, "raw": "#5a5a5a"}
CURVE_METHODS = ("explicit_forward_dynamics", "inverse_dynamics")
TITLES = {
    "sign-flip": "sign-flip:  a = K (± s)",
    "additive": "additive:  a = K (c - s)",
    "observable": "observable:  a = K s",
    "visible-goal": "visible goal:  a = K (c - s), c seen",
}
SHADES = ("#a9d5bd", "#4fa77b", "#0f4f30")  # few to many windows
Rows = Sequence[Mapping[str, Any]]


def select(rows: Rows, study: str, metric: str, method: str, **setting: Any) -> list[Mapping[str, Any]]:
    """The rows of a study with this metric, method and setting."""
    return [
        row
        for row in rows
        if (row["study"], row["metric"], row["method"]) == (study, metric, method)
        and all(row["setting"][name] == value for name, value in setting.items())
    ]


def values_over(rows: Rows, name: str) -> dict[Any, np.ndarray]:
    """The values of all seeds at each value of one number of the setting, ascending."""
    found = defaultdict(list)
    for row in rows:
        found[row["setting"][name]].append(row["value"])
    return {place: np.array(found[place]) for place in sorted(found)}


def _line(
    panel: Any, rows: Rows, name: str, centre: Callable[[np.ndarray], Any], band: bool = True, **style: Any
) -> None:
    """A line through the centres of the seeds; the band ends at the smallest and the largest."""
    found = values_over(rows, name)
    places, values = list(found), list(found.values())
    panel.plot(places, [centre(v) for v in values], marker="o", markersize=3.5, **style)
    if band:
        low, high = [v.min() for v in values], [v.max() for v in values]
        panel.fill_between(places, low, high, color=style["color"], alpha=0.15, linewidth=0)


def _grid(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(rows, columns, figsize=size, layout="constrained")
    for panel in axes.flat:
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    return figure, axes


def _name(panel: Any, title: str, across: str, up: str = "") -> None:
    panel.set_title(title, fontsize=9)
    panel.set_xlabel(across, fontsize=8)
    panel.set_ylabel(up, fontsize=8)


def _ticks(panel: Any, places: Sequence[int]) -> None:
    panel.set_xscale("log")
    panel.set_xticks(places, [f"{place:,}" for place in places])
    panel.minorticks_off()


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def draw_linear_contexts(rows: Rows, path: Path) -> None:
    """Error over windows for each kind of context; below, of inverse dynamics over the steps of a window.

    Args:
        rows: of linear_contexts.csv.
        path: of the PNG.
    """
    figure, axes = _grid(2, 4, (12.0, 5.8))
    for panel, context in zip(axes[0], TITLES, strict=True):
        _contexts_panel(panel, rows, context)
    pairs = [(dynamics, context) for dynamics in ("full", "chain") for context in ("sign-flip", "additive")]
    for panel, (dynamics, context) in zip(axes[1], pairs, strict=True):
        _steps_panel(panel, rows, dynamics, context)
    axes[0, 0].set_ylabel("error of the cloned action", fontsize=8)
    axes[1, 0].set_ylabel("error, inverse dynamics", fontsize=8)
    axes[0, 2].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0.0, 0.8))
    axes[1, 0].legend(frameon=False, fontsize=8, loc="upper left")
    _save(figure, path)


def _contexts_panel(panel: Any, rows: Rows, context: str) -> None:
    _name(panel, TITLES[context], "windows of pretraining")
    raw = [row["value"] for row in select(rows, "theory_contexts", "error", "raw", context=context)]
    panel.axhline(np.mean(raw), color=PAINT["raw"], linestyle="--", linewidth=1, label=NAMES["raw"])
    for method in ("explicit_forward_dynamics", "behavior_cloning", "inverse_dynamics"):
        found = select(rows, "theory_contexts", "error", method, context=context)
        _line(panel, found, "samples", np.mean, color=PAINT[method], label=NAMES[method])
    _ticks(panel, (64, 256, 1024, 4096, 16384))
    panel.set_ylim(-0.05, 2.3)


def _steps_panel(panel: Any, rows: Rows, dynamics: str, context: str) -> None:
    pushed = "actions push all of s" if dynamics == "full" else "actions push velocities"
    _name(panel, f"{context}, {pushed}", "steps between the observations")
    kind = {"dynamics": dynamics, "context": context}
    found = select(rows, "theory_steps", "error", "inverse_dynamics", **kind)
    for samples, shade in zip(values_over(found, "samples"), SHADES, strict=True):
        some = [row for row in found if row["setting"]["samples"] == samples]
        _line(panel, some, "steps", np.mean, color=shade, label=f"{samples:,} windows")
    _ticks(panel, (1, 2, 4, 8))
    panel.set_ylim(-0.03, 1.3)


def draw_decoder_complexity(rows: Rows, path: Path) -> None:
    """Losses over samples, widths, the samples of a harder curve and its frequency; the probe of every run.

    Args:
        rows: of decoder_complexity.csv.
        path: of the PNG.
    """
    figure, axes = _grid(2, 3, (11.0, 6.2))
    _curves_panel(axes[0, 0])
    _losses_panel(axes[0, 1], rows, "theory_samples", "samples")
    _name(axes[0, 1], "f = 10/3, width 64", "samples", "loss on fresh samples")
    _losses_panel(axes[0, 2], rows, "theory_width", "width")
    _ticks(axes[0, 2], (2, 4, 8, 16, 64))
    _name(axes[0, 2], "f = 10/3, 1,000 samples", "width of head or decoder")
    _losses_panel(axes[1, 0], rows, "theory_harder_curve", "samples")
    _name(axes[1, 0], "2 sin x + 2 sin 10 x, width 32", "samples", "loss on fresh samples")
    _frequency_panel(axes[1, 1], rows)
    _probe_panel(axes[1, 2], rows)
    axes[0, 1].legend(frameon=False, fontsize=8, loc="upper right")
    axes[1, 1].legend(frameon=False, fontsize=7.5, loc="upper left", ncols=2)
    _save(figure, path)


def _curves_panel(panel: Any) -> None:
    states = np.linspace(-5.0, 5.0, 1000)
    for row, (frequency, name, colour) in enumerate(
        ((10.0 / 3.0, "10/3", "#111111"), (10.0, "10", "#cc3311"))
    ):
        panel.plot(
            states, np.sin(states) + np.sin(frequency * states) - 5.0 * row, color=colour, linewidth=1.2
        )
        panel.text(5.3, -5.0 * row, f"f = {name}", color=colour, fontsize=8, va="center")
    _name(panel, "observations (x, sin x + sin f x)", "x, the state")
    panel.set(yticks=[], xlim=(-5.2, 8.0), xticks=[-5, 0, 5])


def _losses_panel(panel: Any, rows: Rows, study: str, name: str) -> None:
    few = min(row["setting"]["steps"] for row in rows)
    for method in CURVE_METHODS:
        found = select(rows, study, "loss", method, steps=few)
        _line(panel, found, name, np.median, color=PAINT[method], label=NAMES[method])
    panel.set(xscale="log", yscale="log")


def _frequency_panel(panel: Any, rows: Rows) -> None:
    few, *_ = steps = sorted({row["setting"]["steps"] for row in rows if row["study"] == "theory_frequency"})
    for method in CURVE_METHODS:
        for samples, count, dashes in (
            (100, few, ":"),
            (1000, few, "-"),
            (3000, few, "--"),
            (1000, steps[-1], "-."),
        ):
            numbers = {"samples": samples, "steps": count}
            found = select(rows, "theory_frequency", "loss", method, **numbers)
            named = f"{samples:,} samples" + (f", {count:,} steps" if count > few else "")
            label = named if method == CURVE_METHODS[0] else None
            style = {"linestyle": dashes, "color": PAINT[method], "label": label}
            _line(panel, found, "frequency", np.median, band=False, **style)
    panel.set(yscale="log", ylim=(1e-6, 300.0))  # the legend stands above the lines
    _name(panel, f"loss over the frequency, {few:,} steps", "f [radians per unit of x]")


def _probe_panel(panel: Any, rows: Rows) -> None:
    for method in CURVE_METHODS:
        runs: dict[Any, dict[str, float]] = defaultdict(dict)
        for row in (row for row in rows if row["method"] == method):
            runs[(*row["setting"].values(), row["seed"])][row["metric"]] = row["value"]
        points = np.array([(run["loss"], run["probe_r2"]) for run in runs.values()])
        panel.scatter(*points.T, s=10, alpha=0.6, color=PAINT[method], linewidth=0)
    panel.set(xscale="log", ylim=(-0.03, 1.05))
    _name(
        panel, "x read off the code by a line, every run", "loss on fresh samples", "R2 of the linear probe"
    )
