"""Results gathered for a report: one estimate for each method and setting, over goals and seeds."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from latentctx_agents.plots import LABELS
from latentctx_agents.results import read_results
from latentctx_agents.stats import bootstrap_crossed_interval, iqm

GOAL = "goal"  # setting that an estimate is taken over where it is a goal's number
EXPERT = "expert"
SIGHTLESS = (EXPERT, "states")  # see no frames: what encoders are varied in is nothing to them
FILE = "file"  # setting that tells two measurements of the same thing apart


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a number comes from."""

    command: str
    commit: str
    hardware: str


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A method in one setting."""

    method: str
    setting: Mapping[str, Any]  # what varies in its section
    mean: float
    low: float  # of the 95 % interval; nan for a single value without episodes
    high: float
    middle: float  # interquartile mean
    count: int  # values, one for each goal and seed
    seeds: int
    goals: int  # 0 where the setting names no goal
    sources: tuple[Source, ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """Everything measured by one metric in one world of one study."""

    study: str
    world: str
    metric: str
    varying: tuple[str, ...]  # settings with several values within one method
    fixed: Mapping[str, Any]  # settings with one value throughout
    of_method: Mapping[str, Mapping[str, Any]]  # settings that go with the method
    estimates: Sequence[Estimate] = field(repr=False)

    @property
    def share(self) -> bool:
        """Whether the numbers are shares of episodes."""
        return is_share(self.metric)

    @cached_property
    def telling(self) -> tuple[str, ...]:
        """The fewest varying settings that still tell the estimates apart."""
        kept = list(self.varying)
        for name in reversed(self.varying):
            fewer = [other for other in kept if other != name]
            if len({(e.method, *_keys(e.setting, fewer)) for e in self.estimates}) == len(self.estimates):
                kept = fewer
        return tuple(kept)

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """Numeric settings that some method takes several values of, all else equal."""
        return tuple(name for name in self.telling if self._numeric(name) and self._sweeps(name))

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """In the order of the rows."""
        return tuple(dict.fromkeys(e.method for e in self.estimates))

    def everywhere(self, method: str, name: str) -> bool:
        """Whether a method has nothing to do with a setting: it takes one value that no other method sweeps over."""
        values = self._values[name][method]
        swept = (found for found in self._values[name].values() if len(found) > 1)
        return len(values) == 1 and (method in SIGHTLESS or not values & set().union(*swept))

    @cached_property
    def _values(self) -> dict[str, dict[str, set[str]]]:
        """JSON of the values that each method takes of each varying setting."""
        found = {name: {method: set[str]() for method in self.methods} for name in self.varying}
        for name in self.varying:
            for e in self.estimates:
                found[name][e.method] |= set(_keys(e.setting, [name]))
        return found

    def _numeric(self, name: str) -> bool:
        values = [e.setting.get(name) for e in self.estimates]
        return all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in values)

    def _sweeps(self, name: str) -> bool:
        others = [other for other in self.telling if other != name]
        found: dict[Any, set[Any]] = defaultdict(set)
        for e in self.estimates:
            if e.setting.get(name) is not None:
                found[e.method, _keys(e.setting, others)].add(e.setting[name])
        return any(len(values) > 1 for values in found.values())


def is_share(metric: str) -> bool:
    """Whether a metric is a share of episodes, by its name."""
    return metric == "success" or metric.endswith("_success")


def read_sections(paths: Iterable[Path], root: Path) -> list[Section]:
    """The sections of results CSVs, in the order of their rows.

    Args:
        paths: results CSVs.
        root: folder that their names are relative to where two of them hold different values of the same measurement.
    """
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for path in paths:
        for row in read_results([path]):
            where = path.relative_to(root).as_posix()
            groups[row["study"], row["world"], row["metric"]].append({**row, FILE: where})
    worlds = list(dict.fromkeys(key[:2] for key in groups))
    ordered = sorted(groups, key=lambda key: worlds.index(key[:2]))
    return [_section(*key, _distinct(groups[key])) for key in ordered]


def _distinct(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without repetitions; where values differ for the same measurement, file or folder becomes a setting."""
    rows = [{**row, "setting": {**row["setting"], "dataset": row["dataset"]}} for row in rows]
    for place in (None, lambda name: name.rpartition("/")[0] or ".", lambda name: name):
        named = [_placed(row, place) for row in rows]
        found: dict[Any, dict[str, Any]] = {}
        clash = False
        for row in named:
            key = (row["method"], row["seed"], *_keys(row["setting"], sorted(row["setting"])))
            clash |= key in found and not _same(found[key]["value"], row["value"])
            found.setdefault(key, row)
        if not clash:
            return list(found.values())
    return named  # one file measured it twice: all count


def _placed(row: dict[str, Any], place: Any) -> dict[str, Any]:
    if place is None:
        return row
    return {**row, "setting": {**row["setting"], FILE: place(row[FILE])}}


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _keys(setting: Mapping[str, Any], names: Iterable[str]) -> tuple[str, ...]:
    return tuple(json.dumps(setting.get(name), sort_keys=True) for name in names)


def _section(study: str, world: str, metric: str, rows: list[dict[str, Any]]) -> Section:
    names = list(dict.fromkeys(name for row in rows for name in row["setting"] if not _averaged(name, row)))
    values: dict[str, dict[str, list[Any]]] = {}  # setting -> method -> its values
    for name in names:
        for row in rows:
            seen = values.setdefault(name, {}).setdefault(row["method"], [])
            if row["setting"].get(name) not in seen:
                seen.append(row["setting"].get(name))
    varying = tuple(name for name in names if any(len(seen) > 1 for seen in values[name].values()))
    single = {name: {m: seen[0] for m, seen in values[name].items()} for name in names if name not in varying}
    fixed = {n: next(iter(by.values())) for n, by in single.items() if len({*_keys(by, by)}) == 1}
    methods = sorted({row["method"] for row in rows}, key=_method_order)
    of_method = {m: {n: by[m] for n, by in single.items() if n not in fixed} for m in methods}
    cells: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        cells[row["method"], _keys(row["setting"], varying)].append(row)
    estimates = [_estimate(metric, varying, cell) for cell in cells.values()]
    estimates.sort(key=lambda e: (_method_order(e.method), *(_order(e.setting[n]) for n in varying)))
    return Section(
        study=study,
        world=world,
        metric=metric,
        varying=varying,
        fixed=_said(fixed),
        of_method={m: _said(found) for m, found in of_method.items() if _said(found)},
        estimates=estimates,
    )


def _averaged(name: str, row: Mapping[str, Any]) -> bool:
    """Whether a setting only numbers repetitions; other studies say by "goal" what kind of goal is shown."""
    return name == "seed" or (name == GOAL and _goal(row) is not None)


def _goal(row: Mapping[str, Any]) -> int | None:
    """The number of a result's goal."""
    goal = row["setting"].get(GOAL)
    return goal if isinstance(goal, int) else None


def _said(setting: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in setting.items() if value not in (None, "")}


def _method_order(method: str) -> tuple[int, str]:
    order = list(LABELS)
    return (order.index(method) if method in LABELS else len(order), method)


def _order(value: Any) -> tuple[int, float, str]:
    """Nothing, then numbers, then words."""
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, int | float):
        return (1, float(value), "")
    return (2, 0.0, str(value))


def _estimate(metric: str, varying: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Estimate:
    values = np.array([row["value"] for row in rows])
    low, high = _interval(metric, rows)
    goals = {_goal(row) for row in rows} - {None}
    return Estimate(
        method=rows[0]["method"],
        setting={name: rows[0]["setting"].get(name) for name in varying},
        mean=float(values.mean()),
        low=low,
        high=high,
        middle=iqm(values),
        count=len(values),
        seeds=len({row["seed"] for row in rows}),
        goals=len(goals),
        sources=tuple(dict.fromkeys(_source(row) for row in rows)),
    )


def _interval(metric: str, rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Over goals and seeds and, for shares of a known number of episodes, over these; nan for a single number."""
    rows = _independent(rows)
    values = np.array([row["value"] for row in rows])
    episodes = {row["setting"].get("episodes") for row in rows}
    (count,) = episodes if len(episodes) == 1 else (None,)
    shares = is_share(metric) and isinstance(count, int) and count > 1
    if shares and np.all((values >= 0) & (values <= 1)):
        return interval_of(rows, count)
    if len(values) == 1 or not np.isfinite(values).all():
        return math.nan, math.nan
    return interval_of(rows)


def _independent(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Rows that were not measured twice: the expert learns nothing, so that each of its seeds plays the same episodes."""
    if any(row["method"] != EXPERT for row in rows):
        return rows
    return [row for row in rows if row["seed"] == rows[0]["seed"]]


def interval_of(rows: Sequence[Mapping[str, Any]], episodes: int | None = None) -> tuple[float, float]:
    """The 95 % interval of the mean of results over their seeds and goals.

    Args:
        rows: as `read_results` gives them, of one method in one setting.
        episodes: of each row, where the values are shares of them.
    """
    rows = _independent(rows)
    return bootstrap_crossed_interval(
        np.array([row["value"] for row in rows]),
        [row["seed"] for row in rows],
        [json.dumps(_goal(row)) for row in rows],
        episodes=episodes,
    )


def _source(row: Mapping[str, Any]) -> Source:
    return Source(command=row["command"], commit=row["commit"], hardware=row["hardware"])
