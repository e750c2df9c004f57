"""The figures of a study, drawn with matplotlib's file backend."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LABELS = {
    "inverse_dynamics": "inverse dynamics",
    "behavior_cloning": "behaviour cloning",
    "scratch": "scratch pixels",
    "states": "true states",
    "expert": "expert (ceiling)",
    "random": "random encoder",
}
COLOURS = {
    "inverse_dynamics": "#1b7f4d",
    "behavior_cloning": "#c8553d",
    "scratch": "#7d7d7d",
    "states": "#3d6fb6",
    "expert": "#222222",
    "random": "#b9a44c",
}


def _figure(title: str) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
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
    axes.set_xticks(range(len(names)), [LABELS[name] for name in names])
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
