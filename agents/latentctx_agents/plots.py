"""The figures of a study, drawn with matplotlib's file backend."""

import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

LABEL_WIDTH, LEGEND_WIDTH = (
    36,
    28,
)  # characters of a line beside a bar and in a legend; longer labels are broken
LABELS = {  # in the order of tables
    "inverse_dynamics": "inverse dynamics",
    "behavior_cloning": "behaviour cloning",
    "implicit_forward_dynamics": "implicit forward dynamics",
    "explicit_forward_dynamics": "explicit forward dynamics",
    "static_contrastive": "static contrastive",
    "scratch": "scratch pixels",
    "states": "true states",
    "aime": "AIME",
    "aime_divergence": "AIME, divergence alone",
    "aime_reconstruction": "AIME, reconstruction alone",
    "aime_idm": "AIME-IDM",
    "bco": "BCO(0)",
    "iidm": "IIDM",
    "expert": "expert (ceiling)",
    "random": "random encoder",
    "zero": "zero actions",
}
LABELS_OF_STUDY = {("locomotion_floors", "random"): "random actions"}
# Any two are at least 19 apart (CIE 1976) to normal eyes and to each kind of dichromacy (Machado et al. 2009)
COLOURS = {
    "inverse_dynamics": "#009e73",
    "behavior_cloning": "#cc3311",
    "implicit_forward_dynamics": "#aa4499",
    "explicit_forward_dynamics": "#e69f00",
    "static_contrastive": "#66ccee",
    "scratch": "#5a5a5a",
    "states": "#332288",
    "expert": "#111111",
    "random": "#bbbbbb",
}
METRICS = {
    "action_error": "mean squared error of inferred actions",
    "evidence": "weighted bound of the demonstrations, inferred actions [a window]",
    "true_evidence": "weighted bound of the demonstrations, true actions [a window]",
    "elbo": "bound of the demonstrations, inferred actions [nats a window]",
    "true_elbo": "bound of the demonstrations, true actions [nats a window]",
    "expert_share": "share of the expert's return",
    "clone_loss": "cloning loss",
    "clone_loss_held_out": "cloning loss on held-out demonstrations",
    "final_success": "success at the last step",
    "position_unexplained": "variance of the position that the features do not explain",
    "features_unexplained": "variance of other features that these do not explain",
    "probe_rmse_m": "RMS error of the position [m]",
    "length": "length of an episode [steps]",
    "return_std": "standard deviation of the return",
    "standard_error": "standard error of the return",
}
MARKERS = "osD^vPX*h"


def label_of(method: str, study: str = "") -> str:
    """A method's name in tables and figures."""
    return LABELS_OF_STUDY.get((study, method), LABELS.get(method, method))


def metric_name(metric: str) -> str:
    """A metric's name with its unit."""
    return METRICS.get(metric, metric.replace("_", " "))


def colours_of(methods: Sequence[str]) -> dict[str, str]:
    """A colour for each method: its own, or the next that none of them has."""
    spare = [colour for name, colour in COLOURS.items() if name not in methods]
    others = cycle(spare or COLOURS.values())
    return {name: COLOURS.get(name) or next(others) for name in methods}


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar of a chart; `low` and `high` are nan where there is no interval."""

    label: str
    value: float
    low: float
    high: float
    colour: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A method's values over a setting; without places on the axis it is one dashed line across."""

    label: str
    colour: str
    places: Sequence[float]
    values: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]


def _figure(title: str, size: tuple[float, float] = (6.4, 3.6)) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=size, layout="constrained")
    axes.set_title(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _threshold(axes: Any, height: float, bars: int, label: str) -> None:
    """A dashed line across the bars, named beside them."""
    axes.axhline(height, color="black", linestyle="--", linewidth=1)
    axes.set_xlim(-0.6, bars + 0.1)
    axes.text(bars + 0.1, height, label, ha="right", va="center", fontsize=9, backgroundcolor="white")


def success_bars(
    success: Mapping[str, float],
    intervals: Mapping[str, Sequence[float]],
    ceiling: float,
    path: Path,
    title: str,
) -> None:
    """Bars of success with their intervals and the expert's ceiling as a line."""
    figure, axes = _figure(title)
    names = [name for name in success if name != "expert"]
    for index, name in enumerate(names):
        value, (low, high) = success[name], intervals[name]
        axes.bar(index, value, color=COLOURS[name], width=0.65)
        axes.errorbar(index, value, [[value - low], [high - value]], color="black", capsize=4)
        axes.text(index, min(high + 0.02, 1.0), f"{value:.2f}", ha="center", fontsize=9)
    _threshold(axes, ceiling, len(names), f"expert\n{ceiling:.2f}")
    axes.set_xticks(range(len(names)), [LABELS[name] for name in names], fontsize=9)
    axes.set(ylim=(0, 1.05), ylabel="success")
    _save(figure, path)


def learning_curves(curves: Mapping[str, Sequence[Mapping[str, float]]], path: Path, title: str) -> None:
    """Pretraining loss of each objective over gradient steps."""
    figure, axes = _figure(title)
    for name, rows in curves.items():
        steps, losses = [row["step"] for row in rows], [row["loss"] for row in rows]
        axes.plot(steps, losses, color=COLOURS[name], label=LABELS[name])
    axes.set(xlabel="gradient step", ylabel="mean squared error of the action", ylim=(0, None))
    axes.legend(frameon=False)
    _save(figure, path)


def probe_bars(errors: Mapping[str, float], radius: float, path: Path, title: str) -> None:
    """Error of the position read from frozen features, beside the radius of success (both in m)."""
    figure, axes = _figure(title)
    errors = {name: errors[name] for name in LABELS if name in errors}
    for index, (name, error) in enumerate(errors.items()):
        axes.bar(index, 1000 * error, color=COLOURS[name], width=0.6)
        axes.text(index, 1000 * error + 1, f"{1000 * error:.1f}", ha="center", fontsize=9)
    _threshold(axes, 1000 * radius, len(errors), "radius\nof success")
    axes.set_xticks(range(len(errors)), [LABELS[name] for name in errors])
    axes.set(ylabel="RMS position error [mm]")
    _save(figure, path)


def bar_chart(bars: Sequence[Bar], metric: str, *, share: bool, number: Callable[[float], str]) -> bytes:
    """An SVG of horizontal bars with their values; `share` fixes the axis to 0 ... 1."""
    labels = [textwrap.fill(bar.label, LABEL_WIDTH) for bar in bars]
    lines = max(label.count("\n") for label in labels) + 1
    figure, axes = _figure("", (5.0, 0.8 + (0.15 + 0.13 * lines) * len(bars)))
    lowest, highest = (0.0, 1.0) if share else _reach(bars)
    for place, bar in enumerate(bars):
        axes.barh(place, bar.value, color=bar.colour, height=0.7)
        known = bar.low < bar.high
        if known:
            _whisker(axes, place, bar)
        beside = (max(bar.value, bar.high if known else 0.0), place)
        axes.annotate(number(bar.value), beside, (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(bars)), labels)
    axes.tick_params(labelsize=8)
    room = 0.12 * (highest - lowest)  # for the numbers beside the bars
    axes.set(xlim=(lowest - (room if lowest < 0 else 0.0), highest + room), ylim=(len(bars) - 0.5, -0.5))
    figure.supxlabel(metric, fontsize=9)
    return _svg(figure)


def _whisker(axes: Any, place: int, bar: Bar) -> None:
    """The interval of a bar, edged in white so that it shows on dark bars too."""
    from matplotlib import patheffects

    ends = [[bar.value - bar.low], [bar.high - bar.value]]
    _, caps, lines = axes.errorbar(bar.value, place, xerr=ends, color="black", capsize=3)
    for line in (*caps, *lines):
        line.set_path_effects([patheffects.withStroke(linewidth=3, foreground="white")])


def _reach(bars: Sequence[Bar]) -> tuple[float, float]:
    """Lowest and highest number of a chart, zero among them."""
    numbers = [x for bar in bars for x in (bar.value, bar.low, bar.high) if x == x]
    lowest, highest = min([0.0, *numbers]), max([0.0, *numbers])
    return (lowest, highest) if lowest < highest else (lowest, lowest + 1.0)


def line_chart(lines: Sequence[Line], metric: str, setting: str, title: str, *, share: bool) -> bytes:
    """An SVG of methods over a numeric setting, with their intervals as bands."""
    import matplotlib

    names = [textwrap.fill(line.label, LEGEND_WIDTH) for line in lines]
    rows = (len(lines) + 1) // 2 * (max(name.count("\n") for name in names) + 1)
    figure, axes = _figure(title, (5.0, 3.0 + 0.18 * rows))
    for line, name, marker in zip(lines, names, cycle(MARKERS), strict=False):
        common = {"color": line.colour, "label": name}
        if not line.places:
            axes.axhline(line.values[0], linestyle="--", linewidth=1.2, **common)
            continue
        axes.plot(line.places, line.values, marker=marker, markersize=5, **common)
        axes.fill_between(line.places, line.lows, line.highs, color=line.colour, alpha=0.15, linewidth=0)
    places = sorted({place for line in lines for place in line.places})
    if places[0] > 0 and places[-1] >= 10 * places[0]:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    if len(places) <= 8:
        axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.tick_params(labelsize=8)
    axes.set_xlabel(setting, fontsize=9)
    axes.set_ylabel(metric, fontsize=9)
    if share:
        axes.set_ylim(0, 1.05)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return _svg(figure)


def _svg(figure: Any) -> bytes:
    """The figure as an SVG that is the same whenever it is drawn again."""
    import matplotlib
    from matplotlib import pyplot

    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "latentctx"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return stream.getvalue()
