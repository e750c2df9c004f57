"""`report.html`: one self-contained page from a finished run folder."""

import base64
import html
import json
from pathlib import Path
from typing import Any

from latentctx_agents.plots import LABELS

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 860px; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; } td, th { padding: .3em .9em; border-bottom: 1px solid #ddd; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; } figcaption { color: #555; font-size: 14px; } figure { margin: 1.5em 0; }
code { background: #f3f3f3; padding: .1em .3em; } details { margin: 1em 0; }
"""

FIGURES = (
    ("success.png", "Success on unseen goals with 95 % bootstrap intervals over goals and episodes."),
    ("rollouts.gif", "Rollouts. The red ball is the hidden goal, drawn for you only; green border: reached."),
    ("learning.png", "Pretraining: the action error that each objective minimises."),
    (
        "probe.png",
        "How far the position read from frozen features is off; below the line it can find the goal.",
    ),
)


def write_report(folder: Path) -> Path:
    """Write `report.html` from `summary.json`, `config.json`, `versions.json` and the figures of a demo run.

    Raises:
        ValueError: the folder holds no finished run.
    """
    try:
        summary = json.loads((folder / "summary.json").read_text())
        config = json.loads((folder / "config.json").read_text())
        versions = json.loads((folder / "versions.json").read_text())
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise ValueError(
            f"{folder} holds no finished run ({missing} is missing): run the demo first."
        ) from None
    figures = "\n".join(_figure(folder / name, caption) for name, caption in FIGURES)
    path = folder / "report.html"
    path.write_text(
        f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>LatentCtx: hidden goals</title><style>{STYLE}</style>
<h1>Learning to reach goals that nobody shows</h1>
<p>{config["pretrain"]["contexts"]} demonstrations, each to another <em>hidden</em> goal, pretrain an encoder from
pixels. It is frozen; a small policy head is then cloned from {config["finetune"]["demos"]} demonstrations of one new goal.
Inverse dynamics asks <em>which action led from this frame to the next?</em> and needs no goal to answer;
behaviour cloning asks <em>what did the expert do here?</em> and cannot know without it.</p>
{_table(summary)}
{figures}
<details><summary>Configuration and versions</summary>
<pre>{html.escape(json.dumps(config, indent=2))}</pre><pre>{html.escape(json.dumps(versions, indent=2))}</pre></details>
</html>
"""
    )
    return path


def _table(summary: dict[str, Any]) -> str:
    ceiling = summary["success"]["expert"]
    rows = "\n".join(
        f"<tr><td>{LABELS[name]}</td><td class=number>{value:.2f}</td>"
        f"<td class=number>[{summary['ci95'][name][0]:.2f}, {summary['ci95'][name][1]:.2f}]</td>"
        f"<td class=number>{value / ceiling:.2f}</td></tr>"
        for name, value in summary["success"].items()
    )
    head = "<tr><th>method</th><th class=number>success</th><th class=number>95 %</th><th class=number>of the expert</th></tr>"
    return f"<table>{head}{rows}</table>"


def _figure(path: Path, caption: str) -> str:
    if not path.exists():
        return ""
    kind = path.suffix.removeprefix(".")
    data = base64.b64encode(path.read_bytes()).decode()
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/{kind};base64,{data}"><figcaption>{text}</figcaption></figure>'
