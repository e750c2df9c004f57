"""`report.html`: one page that needs nothing else, from the results CSVs and pictures of a run or a study."""

import io
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from latentctx_agents import report_sections as parts
from latentctx_agents.estimates import Section, Source, read_sections
from latentctx_agents.plots import metric_name
from latentctx_agents.results import COLUMNS, is_results

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root { color-scheme: light dark; --text: #222; --soft: #595959; --line: #ddd; --back: #fff; --code: #f3f3f3;
  --link: #0b57a4; --shade: #0002; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e4e4; --soft: #a8a8a8; --line: #444; --back: #181818; --code: #2a2a2a; --link: #8ab8f0;
    --shade: #fff3; }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 860px; margin: 2em auto; padding: 0 1em;
  color: var(--text); background: var(--back); overflow-wrap: break-word; }
h1, h2 { line-height: 1.25; } h2 { margin-top: 2em; font-size: 1.25em; }
a { color: var(--link); }
.scroll { overflow-x: auto; margin: 1em 0; /* the shade at the right says that there is more, and scrolls away */
  background: linear-gradient(var(--back), var(--back)) right / 2em 100% no-repeat local,
    linear-gradient(to left, var(--shade), transparent) right / 1.2em 100% no-repeat; } table { border-collapse: collapse; }
th, td { padding: .3em .9em .3em 0; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
thead th { color: var(--soft); font-weight: normal; } tbody th { font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.note, figcaption { color: var(--soft); font-size: 14px; margin: .5em 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 1em; }
.plots figure { margin: 0; } .plots img { width: 100%; max-width: 500px; }
figure { margin: 1.5em 0; }
img { max-width: 100%; height: auto; box-sizing: border-box; padding: 4px; background: #fff; border-radius: 6px; }
code, pre { background: var(--code); border-radius: 4px; font-size: 14px; }
code { padding: .1em .3em; overflow-wrap: anywhere; } pre { padding: .8em; overflow-x: auto; }
.commands li { margin: .6em 0; color: var(--soft); font-size: 14px; } .commands li:target { color: var(--text); }
"""

CAPTIONS = {
    "success.png": "Success on unseen goals with 95 % bootstrap intervals over goals and episodes.",
    "rollouts.gif": "Rollouts. The red ball is the hidden goal, drawn for you only; green border: reached.",
    "learning.png": "Pretraining: the action error that each objective minimises.",
    "probe.png": "How far the position read from frozen features is off; below the line it can find the goal.",
}
STANDING = {"success": "success.png", "probe_rmse_m": "probe.png"}  # a demo draws these metrics itself
LONG = 12  # rows of a table from which on its figures come first
LARGEST = 12_000_000  # [bytes] of a picture that the page takes in
FORMATS = {".png": "png", ".gif": "gif"}


def write_report(source: Path, out: Path | None = None) -> Path:
    """Write a page of every results CSV and picture below a folder, or of one CSV; returns the page's path.

    Args:
        source: a run's or a study's folder, or a results CSV.
        out: where the page goes; by default `report.html` in the folder, or beside the CSV under its name.

    Raises:
        ValueError: there are no results, or they cannot be read.
    """
    folder = source if source.is_dir() else source.parent
    sections = read_sections(_csvs(source), folder)
    if not sections:
        raise ValueError(f"{source} holds no results: its CSV ends after the names of the columns.")
    summary, config = _json(folder / "summary.json"), _json(folder / "config.json")
    demo = source.is_dir() and {"success", "ci95"} <= set(summary) and {"pretrain", "finetune"} <= set(config)
    if demo:
        sections = [_as_printed(section, summary["ci95"]) for section in sections]
    title = "Learning to reach goals that nobody shows" if demo else _title(sections)
    introduction = _demo_introduction(config) if demo else ""
    body = f"{introduction}\n{_contents(sections)}\n{_body(sections, folder, pictures=source.is_dir(), demo=demo)}"
    beside = folder / "report.html" if source.is_dir() else source.with_suffix(".html")
    path = out if out is not None else beside
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_page(title, body, source), encoding="utf-8")
    return path


def _csvs(source: Path) -> list[Path]:
    """The results CSVs of a folder or the one that is named."""
    makes = "`latentctx demo` and `latentctx study NAME` make some"
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise ValueError(f"there is no {source}: expected a folder with results CSVs, or one; {makes}.")
    found = [path for path in sorted(source.rglob("*.csv")) if path.is_file() and is_results(path)]
    if not found:
        columns = ", ".join(COLUMNS)
        raise ValueError(
            f"{source} holds no results: expected a CSV with the columns {columns} in it or below; {makes}."
        )
    return found


def _page(title: str, body: str, source: Path) -> str:
    command = f"latentctx report {shlex.quote(str(source))}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>LatentCtx: {escape(title)}</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
{body}
</main>
<footer><p class="note">Written by <code>{escape(command)}</code>.</p></footer>
</body>
</html>
"""


def _title(sections: Sequence[Section]) -> str:
    studies = dict.fromkeys(parts.words(section.study) for section in sections)
    return f"Results of {', '.join(studies)}"


def _demo_introduction(config: Mapping[str, Any]) -> str:
    counts = [
        config.get(part, {}).get(name, "some")
        for part, name in (("pretrain", "contexts"), ("finetune", "demos"))
    ]
    contexts, demos = (escape(str(count)) for count in counts)
    return f"""<p>{contexts} demonstrations, each to another <em>hidden</em> goal, pretrain an encoder
from pixels. It is frozen; a small policy head is then cloned from {demos} demonstrations of one new
goal. Inverse dynamics asks <em>which action led from this frame to the next?</em> and needs no goal to answer; behaviour
cloning asks <em>what did the expert do here?</em> and cannot know without it.</p>"""


def _contents(sections: Sequence[Section]) -> str:
    """How to read the tables and, where there are many, links to them."""
    reading = """<p class="note">Numbers are means over goals and seeds. Intervals are a 95 % bootstrap over them and, for
success, over the episodes of each. IQM is the interquartile mean over goals and seeds. The last column of a table points
to the command that made the number.</p>"""
    if len(sections) <= 3:
        return reading
    links: dict[str, list[str]] = {}
    for place, section in enumerate(sections, start=1):
        link = f'<a href="#section-{place}">{escape(metric_name(section.metric))}</a>'
        links.setdefault(", ".join(filter(None, (section.study, section.world))), []).append(link)
    items = "\n".join(f"<li>{escape(name)}: {', '.join(found)}</li>" for name, found in links.items())
    return f'{reading}\n<nav aria-label="Contents"><ul>\n{items}\n</ul></nav>'


def _body(sections: Sequence[Section], folder: Path, *, pictures: bool, demo: bool) -> str:
    sources = list(dict.fromkeys(source for s in sections for e in s.estimates for source in e.sources))
    standing = {
        metric: folder / name for metric, name in STANDING.items() if demo and (folder / name).exists()
    }
    written = [
        _section(section, place, sources, standing.get(section.metric))
        for place, section in enumerate(sections, start=1)
    ]
    written.append(_pictures(folder, set(standing.values()), demo=demo) if pictures else "")
    written.append(f"<h2>Commands behind the numbers</h2>\n{parts.commands(sources)}")
    written.append(_records(folder) if pictures else "")
    return "\n".join(part for part in written if part)


def _section(section: Section, place: int, sources: Sequence[Source], standing: Path | None) -> str:
    figure = parts.plots(section) if standing is None else _picture(standing, CAPTIONS[standing.name])
    tabled = f"{parts.table(section, sources)}\n{parts.settings(section)}"
    inner = (figure, tabled) if len(section.estimates) > LONG else (tabled, figure)
    return "\n".join(
        [
            f'<section id="section-{place}">',
            f"<h2>{escape(parts.heading(section))}</h2>",
            *inner,
            "</section>",
        ]
    )


def _pictures(folder: Path, shown: set[Path], *, demo: bool) -> str:
    """The films and figures below a folder that no section shows."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix in FORMATS and path not in shown]
    found.sort(key=lambda path: path.suffix != ".gif")
    if not found:
        return ""
    captions = CAPTIONS if demo else {}
    names = [path.relative_to(folder).as_posix() for path in found]
    figures = "\n".join(
        _picture(path, captions.get(name, name)) for path, name in zip(found, names, strict=True)
    )
    return f"<h2>Films and figures</h2>\n{figures}"


def _picture(path: Path, caption: str) -> str:
    """A picture of a folder, or a line that says why it is not here."""
    data = path.read_bytes() if path.stat().st_size <= LARGEST else b""
    if not data:
        return f'<p class="note">{escape(caption)}: {path.stat().st_size:,} bytes, left out.</p>'
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
            size = opened.size
    except (UnidentifiedImageError, OSError):
        return f'<p class="note">{escape(caption)}: not a readable picture, left out.</p>'
    return parts.image(data, FORMATS[path.suffix], caption, caption, size)


def _records(folder: Path) -> str:
    """What the run wrote about itself."""
    files = [folder / name for name in ("config.json", "versions.json")]
    texts = [f"<pre>{escape(file.read_text(encoding='utf-8'))}</pre>" for file in files if file.exists()]
    if not texts:
        return ""
    return f"<details><summary>Configuration and versions</summary>\n{''.join(texts)}\n</details>"


def _as_printed(section: Section, intervals: Mapping[str, Sequence[float]]) -> Section:
    """A demo's success with the intervals that its command printed, from the order of its episodes."""
    if section.metric != "success" or section.varying:
        return section
    known = [
        replace(e, low=intervals[e.method][0], high=intervals[e.method][1]) if e.method in intervals else e
        for e in section.estimates
    ]
    return replace(section, estimates=known)


def _json(path: Path) -> dict[str, Any]:
    """A JSON object of a run, empty if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
