"""The parts of a report as HTML: tables, plots, settings, and the commands behind all numbers."""

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from latentctx_agents.estimates import Estimate, Section, Source
from latentctx_agents.plots import Bar, Line, bar_chart, colours_of, label_of, line_chart, metric_name

EXPERT = "expert"
SPREADS = ("return_std", "standard_error")  # metrics that say how sure another one is: no plots of their own
FEW = 4  # values from which on an interquartile mean says something of its own
PANELS = 12  # most plots of one section and axis


def heading(section: Section) -> str:
    """Metric, world and study of a section, as plain text."""
    metric = metric_name(section.metric)
    world = f" in {section.world}" if section.world else ""
    return f"{metric[:1].upper()}{metric[1:]}{world} ({section.study})"


def table(section: Section, sources: Sequence[Source]) -> str:
    """A row for each method and setting; its last cell points to the commands, numbered as in `sources`."""
    ceilings = {_of(e, section.varying): e.mean for e in section.estimates if e.method == EXPERT}
    columns: list[tuple[str, str, list[str]]] = []
    columns.append(("mean", "number", [number(section, e.mean) for e in section.estimates]))
    if any(not math.isnan(e.low) for e in section.estimates):
        columns.append(("95 % interval", "number", [_interval(section, e) for e in section.estimates]))
    if any(e.count >= FEW for e in section.estimates):
        middles = [number(section, e.middle) if e.count >= FEW else "" for e in section.estimates]
        columns.append(("IQM", "number", middles))
    if ceilings:
        shares = [_ratio(e.mean, _ceiling(ceilings, e, section)) for e in section.estimates]
        columns.append(("of the expert", "number", shares))
    columns.append(("seeds", "number", [str(e.seeds) for e in section.estimates]))
    if any(e.goals for e in section.estimates):
        columns.append(("goals", "number", [str(e.goals or "") for e in section.estimates]))
    columns.append(("command", "number", [_links(e.sources, sources) for e in section.estimates]))
    for name in reversed(section.varying):
        columns.insert(
            0, (escape(words(name)), "", [escape(_value(e.setting[name])) for e in section.estimates])
        )
    head = "".join(_tag("th", name, kind, scope="col") for name, kind, _ in columns)
    body = "\n".join(
        _tag(
            "tr", _tag("th", escape(label_of(e.method, section.study)), scope="row") + _cells(columns, place)
        )
        for place, e in enumerate(section.estimates)
    )
    head = _tag("thead", _tag("tr", _tag("th", "method", scope="col") + head))
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(heading(section))}">'
        f"<table>{head}\n<tbody>\n{body}\n</tbody></table></div>"
    )


def settings(section: Section) -> str:
    """What is the same in every row, and what goes with the method."""
    lines = []
    if section.fixed:
        lines.append(f"The same in every row: {_listed(section.fixed)}.")
    for method, found in section.of_method.items():
        lines.append(f"{label_of(method, section.study)}: {_listed(found)}.")
    return "\n".join(_tag("p", escape(line), "note") for line in lines)


def plots(section: Section) -> str:
    """Lines over each numeric setting, or bars where none varies; nothing for what only qualifies other numbers."""
    if section.metric in SPREADS:
        return ""
    drawn = [figure for name in section.axes for figure in _line_charts(section, name)]
    return _tag("div", "\n".join(drawn or [_bar_chart(section)]), "plots")


def commands(sources: Sequence[Source]) -> str:
    """The numbered list that the tables point to."""
    items = "\n".join(
        f'<li id="command-{place}"><code>{escape(source.command) or "not recorded"}</code><br>'
        f"commit {escape(source.commit) or 'not recorded'}, {escape(source.hardware)}</li>"
        for place, source in enumerate(sources, start=1)
    )
    return f'<ol class="commands">\n{items}\n</ol>'


def image(
    data: bytes, kind: str, alternative: str, caption: str = "", size: tuple[int, int] | None = None
) -> str:
    """A figure with its bytes inside.

    Args:
        data: the file's.
        kind: "png", "gif" or "svg+xml".
        alternative: what it shows, for those who do not see it.
        caption: printed below it.
        size: its width and height, so that nothing moves once it is decoded.
    """
    sides = f' width="{size[0]}" height="{size[1]}"' if size else ""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    below = _tag("figcaption", escape(caption)) if caption else ""
    return f'<figure><img alt="{escape(alternative)}"{sides} src="{source}">{below}</figure>'


def number(section: Section, value: float) -> str:
    """A number of a section: two decimals for shares, else four digits."""
    if math.isnan(value):
        return "-"
    if section.share:
        return f"{round(value, 4):.2f}"  # as studies round before they print: .295 is 0.29 there
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:#.4g}"


def words(name: str) -> str:
    """A setting's name without underscores."""
    return name.replace("_", " ")


def _tag(name: str, inner: str, kind: str = "", **attributes: str) -> str:
    if kind:
        attributes["class"] = kind
    written = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"<{name}{written}>{inner}</{name}>"


def _cells(columns: Sequence[tuple[str, str, list[str]]], place: int) -> str:
    return "".join(_tag("td", cells[place], kind) for _, kind, cells in columns)


def _interval(section: Section, estimate: Estimate) -> str:
    if math.isnan(estimate.low):
        return "-"
    return f"[{number(section, estimate.low)}, {number(section, estimate.high)}]"


def _ceiling(ceilings: Mapping[Any, float], estimate: Estimate, section: Section) -> float:
    """The expert in the same setting, or the only one there is."""
    alone = next(iter(ceilings.values())) if len(ceilings) == 1 else math.nan
    return ceilings.get(_of(estimate, section.varying), alone)


def _ratio(value: float, ceiling: float) -> str:
    return f"{value / ceiling:.2f}" if ceiling and not math.isnan(ceiling) else "-"


def _links(own: Iterable[Source], sources: Sequence[Source]) -> str:
    places = sorted(sources.index(source) + 1 for source in own)
    return ", ".join(f'<a href="#command-{place}">{place}</a>' for place in places)


def _of(estimate: Estimate, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(_value(estimate.setting[name]) for name in names)


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)


def _listed(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{words(name)} {_value(value)}" for name, value in found.items())


def _bar_chart(section: Section) -> str:
    colours = colours_of(section.methods)
    several = len(section.methods) > 1
    bars = [
        Bar(
            label=_bar_label(section, e, several=several),
            value=e.mean,
            low=e.low,
            high=e.high,
            colour=colours[e.method],
        )
        for e in section.estimates
    ]
    name = metric_name(section.metric)
    data = bar_chart(bars, name, share=section.share, number=lambda value: number(section, value))
    listed = "; ".join(f"{bar.label}: {number(section, bar.value)}" for bar in bars[:10])
    more = " and so on, as in the table" if len(bars) > 10 else ""
    return image(data, "svg+xml", f"{heading(section)}, as bars. {listed}{more}.")


def _bar_label(section: Section, estimate: Estimate, *, several: bool) -> str:
    values = _of(estimate, section.telling)
    if not several:
        return ", ".join(values) or label_of(estimate.method, section.study)
    named = [f"{words(name)} {value}" for name, value in zip(section.telling, values, strict=True)]
    return ", ".join([label_of(estimate.method, section.study), *named])


def _line_charts(section: Section, axis: str) -> list[str]:
    """A figure for each combination of the other settings in which something is swept along the axis."""
    others = [name for name in section.telling if name != axis]
    placed = [e for e in section.estimates if not any(section.everywhere(e.method, name) for name in others)]
    charts = [
        _line_chart(section, axis, dict(zip(others, panel, strict=True))) for panel in _panels(placed, others)
    ]
    charts = [chart for chart in charts if chart]
    left = len(charts) - PANELS
    return charts[:PANELS] + ([_tag("p", f"{left} more plots are left out.", "note")] if left > 0 else [])


def _panels(estimates: Iterable[Estimate], names: Sequence[str]) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(_of(e, names) for e in estimates))


def _line_chart(section: Section, axis: str, panel: Mapping[str, str]) -> str:
    """All methods in the settings of the panel, or to which these are nothing; "" if none of its own has two places."""
    lines, swept = [], False
    for method, colour in colours_of(section.methods).items():
        fitting = [e for e in section.estimates if e.method == method and _fits(section, e, panel)]
        along = [e for e in fitting if e.setting[axis] is not None and not section.everywhere(method, axis)]
        shown = sorted(along, key=lambda e: e.setting[axis]) or fitting[:1]
        swept |= len(along) > 1 and not any(section.everywhere(method, name) for name in panel)
        if shown:
            lines.append(_line(section, shown, colour, axis if along else None))
    if not swept:
        return ""
    title = ", ".join(f"{words(name)} {value}" for name, value in panel.items())
    data = line_chart(lines, metric_name(section.metric), words(axis), title, share=section.share)
    names = ", ".join(line.label for line in lines)
    where = f" ({title})" if title else ""
    return image(data, "svg+xml", f"{heading(section)} over {words(axis)}{where}: lines of {names}.")


def _line(section: Section, shown: Sequence[Estimate], colour: str, axis: str | None) -> Line:
    return Line(
        label=label_of(shown[0].method, section.study),
        colour=colour,
        places=[e.setting[axis] for e in shown] if axis is not None else [],
        values=[e.mean for e in shown],
        lows=[e.low for e in shown],
        highs=[e.high for e in shown],
    )


def _fits(section: Section, estimate: Estimate, panel: Mapping[str, str]) -> bool:
    return all(
        section.everywhere(estimate.method, name) or _value(estimate.setting[name]) == value
        for name, value in panel.items()
    )
