"""Generate the tables of the docs from the CSVs under agents/results: `python docs/tables.py`."""

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from latentctx_agents.plots import LABELS
from latentctx_agents.results import read_results

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "agents" / "results"


def demo_table() -> str:
    """Success of each method, seed by seed, from agents/results/demo."""
    rows = read_results(sorted((RESULTS / "demo").glob("*.csv")))
    cells: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in rows:
        if row["metric"] == "success":
            cells[row["method"], row["seed"]].append(row["value"])
    probes = {(r["method"], r["seed"]): 1000 * r["value"] for r in rows if r["metric"] == "probe_rmse_m"}
    seeds = sorted({seed for _, seed in cells})
    methods = [name for name in LABELS if (name, seeds[0]) in cells]
    expert = np.mean([np.mean(cells["expert", seed]) for seed in seeds])
    head = ["method", *(f"seed {seed}" for seed in seeds), "mean", "of the expert", "probe error [mm]"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for name in methods:
        values = [float(np.mean(cells[name, seed])) for seed in seeds]
        errors = [probes[name, seed] for seed in seeds if (name, seed) in probes]
        probe = f"{np.mean(errors):.1f}" if errors else ""
        numbers = [f"{value:.2f}" for value in (*values, np.mean(values), np.mean(values) / expert)]
        lines.append(f"| {LABELS[name]} | {' | '.join(numbers)} | {probe} |")
    setting = rows[0]["setting"]
    facts = f"{setting['demos']} demonstrations, {setting['pretrain']} pretraining contexts, {setting['episodes']} episodes a goal"
    return "\n".join([*lines, "", f"{facts}; {rows[0]['hardware']}; commit {rows[0]['commit']}."])


TABLES = {"demo": (demo_table, [ROOT / "docs" / "papers" / "inverse_dynamics.md"])}


def with_table(text: str, name: str, table: str) -> str:
    """The page with what stands between the markers of `name` replaced."""
    start, end = f"<!-- table:{name} -->", f"<!-- /table:{name} -->"
    return re.sub(
        f"{re.escape(start)}.*?{re.escape(end)}", lambda _: f"{start}\n{table}\n{end}", text, flags=re.DOTALL
    )


def main() -> None:
    """Rewrite every generated table."""
    for name, (make, pages) in TABLES.items():
        for page in pages:
            page.write_text(with_table(page.read_text(), name, make()))


if __name__ == "__main__":
    main()
