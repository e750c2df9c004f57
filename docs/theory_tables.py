"""The tables of docs/papers/inverse_dynamics_theory.md, from agents/results/theory; `docs/tables.py` writes them."""

from pathlib import Path
from typing import Any

import numpy as np
from table_text import origin, table

from latentctx_agents.results import read_results
from latentctx_agents.theory.figures import CURVE_METHODS, NAMES, TITLES, select, values_over

RESULTS = Path(__file__).parents[1] / "agents" / "results" / "theory"
LINEAR_METHODS = ("inverse_dynamics", "behavior_cloning", "explicit_forward_dynamics")

# What the first implementation of both toys found (other code; toy 2 with another library): context -> windows ->
# inverse dynamics, cloning, forward dynamics; then samples or widths -> inverse dynamics, forward dynamics.
FIRST_CONTEXTS: dict[str, dict[int, tuple[float | None, ...]]] = {
    "sign-flip": {128: (0.0, 1.07, 1.27), 16384: (0.0, 1.01, 1.31)},
    "additive": {128: (0.0, 0.78, 1.20), 1024: (0.0, 0.25, 1.30), 16384: (0.0, 0.02, 1.26)},
    "observable": {64: (0.12, 0.01, 0.10), 128: (0.0, 0.0, None), 16384: (0.0, 0.0, 1.15)},
}
FIRST_SAMPLES = {
    10: (0.032, 1.66),
    30: (0.005, 1.11),
    100: (0, 0.22),
    300: (0, 0.005),
    1000: (0, 0.0015),
    3000: (0, 0.0011),
}
FIRST_WIDTHS = {
    2: ("≤2e-4", 0.37),
    4: ("≤2e-4", 0.24),
    8: ("≤2e-4", 0.11),
    16: ("≤2e-4", 0.04),
    64: ("≤2e-4", 0.0015),
}
FIRST_HARDER = {100: ("≤1e-4", 3.7), 300: ("≤1e-4", 1.5), 1000: ("≤1e-4", 1.04), 3000: ("≤1e-4", 0.98)}


def _short(value: float) -> str:
    """Two digits; small numbers as a power of ten."""
    return f"{value:.2g}" if value >= 1e-3 else f"{value:.0e}".replace("e-0", "e-")


def _beside(value: str, first: Any) -> str:
    """A number with the first implementation's in brackets, if there is one."""
    return value if first is None else f"{value} ({first})"


def contexts_table() -> str:
    """Downstream error of every encoder by windows and kind of context."""
    rows = read_results([RESULTS / "linear_contexts.csv"])
    counts = list(values_over([row for row in rows if row["study"] == "theory_contexts"], "samples"))
    lines = []
    for context in TITLES:
        for place, method in enumerate(LINEAR_METHODS):
            found = values_over(select(rows, "theory_contexts", "error", method, context=context), "samples")
            cells = []
            for count, values in found.items():
                first = FIRST_CONTEXTS.get(context, {}).get(count, (None, None, None))[place]
                cells.append(_beside(f"{values.mean():.2f}", None if first is None else f"{first:.2f}"))
            lines.append([context, NAMES[method], *cells])
    raw = {
        c: np.mean([r["value"] for r in select(rows, "theory_contexts", "error", "raw", context=c)])
        for c in TITLES
    }
    each = ", ".join(f"{context} {value:.2f}" for context, value in raw.items())
    seeds = len({row["seed"] for row in rows})
    facts = f"Columns are windows of pretraining; mean of {seeds} worlds. Without an encoder: {each} (the first implementation: 1.82)"
    head = ["context", "objective", *(f"{n:,}" for n in counts)]
    return table(head, lines, f"{facts}; {origin(rows)}")


def steps_table() -> str:
    """Downstream error and overlap of inverse dynamics by steps of a window."""
    rows = read_results([RESULTS / "linear_contexts.csv"])
    study = [row for row in rows if row["study"] == "theory_steps"]
    steps = list(values_over(study, "steps"))
    lines = []
    for dynamics, pushed in (("full", "all of s"), ("chain", "velocities")):
        for context in ("sign-flip", "additive"):
            for samples in values_over(study, "samples"):
                setting = {"dynamics": dynamics, "context": context, "samples": samples}
                errors, overlaps = (
                    values_over(select(rows, "theory_steps", metric, "inverse_dynamics", **setting), "steps")
                    for metric in ("error", "overlap")
                )
                cells = [f"{errors[n].mean():.2f}, {overlaps[n].mean():.2f}" for n in steps]
                lines.append([pushed, context, f"{samples:,}", *cells])
    facts = f"Error, overlap; mean of {len({row['seed'] for row in rows})} worlds"
    head = ["actions push", "context", "windows", *(f"n = {n}" for n in steps)]
    return table(head, lines, f"{facts}; {origin(rows)}")


def _curve_row(
    rows: list[dict[str, Any]], study: str, name: str, place: int, first: tuple[Any, ...]
) -> list[str]:
    """One line of the table of curves: median losses, and the probe's median and lowest."""
    setting: dict[str, Any] = {}
    losses, probes = [], []
    where = {name: place, "steps": min(row["setting"]["steps"] for row in rows)}
    for method, other in zip(reversed(CURVE_METHODS), first, strict=True):
        found = select(rows, study, "loss", method, **where)
        setting = found[0]["setting"]
        losses.append(_beside(_short(float(np.median([row["value"] for row in found]))), other))
        probe = [row["value"] for row in select(rows, study, "probe_r2", method, **where)]
        probes.append(f"{np.median(probe):.3f}, {min(probe):.2f}")
    curve = f"{setting['height']:g}, {'10/3' if setting['frequency'] < 5 else '10'}"
    return [curve, str(setting["width"]), f"{setting['samples']:,}", *losses, *probes]


def _lost(rows: list[dict[str, Any]]) -> str:
    """How many runs of each method, of all studies, ended with a code that hardly follows x."""
    parts = []
    for method in reversed(CURVE_METHODS):
        runs = {
            (*row["setting"].values(), row["seed"]): row
            for row in rows
            if (row["metric"], row["method"]) == ("probe_r2", method)
        }
        lost = [row["setting"]["samples"] for row in runs.values() if row["value"] < 0.9]
        among = f", all with at most {max(lost)} samples" if lost else ""
        parts.append(f"{len(lost)} of {len(runs)} runs of {NAMES[method]}{among}")
    return f"R2 below .9: {'; '.join(parts)}"


def curves_table() -> str:
    """Losses and probes of both methods over samples, widths and the harder curve."""
    rows = read_results([RESULTS / "decoder_complexity.csv"])
    lines = []
    for study, name, numbers in (
        ("theory_samples", "samples", FIRST_SAMPLES),
        ("theory_width", "width", FIRST_WIDTHS),
        ("theory_harder_curve", "samples", FIRST_HARDER),
    ):
        for place, first in numbers.items():
            if (study, place) != ("theory_width", 64):  # the samples' row of 1,000
                lines.append(_curve_row(rows, study, name, place, first))
    steps, seeds = min(row["setting"]["steps"] for row in rows), len({row["seed"] for row in rows})
    facts = f"Median loss of {seeds} networks after {steps:,} steps; R2 of the linear probe, median and lowest. {_lost(rows)}"
    head = [
        "height, f",
        "width",
        "samples",
        "inverse dynamics",
        "forward dynamics",
        "R2, inverse",
        "R2, forward",
    ]
    return table(head, lines, f"{facts}; {origin(rows)}")


def frequency_table() -> str:
    """Losses of both methods over the frequency of the curve."""
    rows = read_results([RESULTS / "decoder_complexity.csv"])
    study = [row for row in rows if row["study"] == "theory_frequency"]
    few, many = sorted({row["setting"]["steps"] for row in study})
    columns = [("inverse_dynamics", n, few) for n in (100, 1000, 3000)]
    columns += [("explicit_forward_dynamics", n, few) for n in (100, 1000, 3000)]
    columns.append(("explicit_forward_dynamics", 1000, many))
    names = [
        f"{NAMES[m].removeprefix('explicit ')}, {n:,}{f', {many:,} steps' * (s == many)}"
        for m, n, s in columns
    ]
    lines = []
    curves = [("theory_frequency", f, f"{f:.3g}") for f in values_over(study, "frequency")]
    for name, frequency, label in (*curves, ("theory_harder_curve", 10.0, "10, height 2, width 32")):
        cells = []
        for method, samples, steps in columns:
            setting = {"samples": samples, "steps": steps, "frequency": frequency}
            found = [row["value"] for row in select(rows, name, "loss", method, **setting)]
            cells.append(_short(float(np.median(found))))
        lines.append([label, *cells])
    facts = f"Columns name the samples; median loss of {len({row['seed'] for row in rows})} networks, {few:,} steps if not said"
    return table(["f", *names], lines, f"{facts}; {origin(rows)}")


PAGES = [Path(__file__).parent / "papers" / "inverse_dynamics_theory.md"]
TABLES = {
    "theory-contexts": (contexts_table, PAGES),
    "theory-steps": (steps_table, PAGES),
    "theory-curves": (curves_table, PAGES),
    "theory-frequency": (frequency_table, PAGES),
}
