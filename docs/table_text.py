"""What all makers of the docs' tables need: rows that are meant, a table as Markdown, and where its numbers are from."""

from collections.abc import Iterable, Sequence
from typing import Any

Rows = Sequence[dict[str, Any]]


def matching(rows: Rows, **wanted: Any) -> list[dict[str, Any]]:
    """The rows with these values, each of a column ("metric", "method", "seed", ...) or else of the setting."""
    return [row for row in rows if all(value_in(row, name) == value for name, value in wanted.items())]


def value_in(row: dict[str, Any], name: str) -> Any:
    """What a row says of a column or else of its setting; None if it says nothing."""
    return row[name] if name in row else row["setting"].get(name)


def values_of(rows: Rows, **wanted: Any) -> list[float]:
    """The measured values of the rows that match."""
    return [row["value"] for row in matching(rows, **wanted)]


def groups_of(rows: Rows, *names: str) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """The rows by what they say of these names, in the order in which each is met first."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(value_in(row, name) for name in names), []).append(row)
    return found


def table(head: Sequence[str], lines: Iterable[Sequence[str]], note: str = "") -> str:
    """A Markdown table, with a note under it."""
    written = [_line(head), "|" + "---|" * len(head), *map(_line, lines)]
    return "\n".join([*written, "", note] if note else written)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def origin(rows: Rows) -> str:
    """Hardware and commits of rows, as the end of a note."""
    hardware, commits = (
        ", ".join(dict.fromkeys(row[name] for row in rows)) for name in ("hardware", "commit")
    )
    return f"{hardware}; commit {commits}."


def seeds_of(rows: Rows) -> str:
    """How many seeds the rows are from, in words."""
    count = len({row["seed"] for row in rows})
    return f"{count} seed{'s' * (count > 1)}"
