"""Tables of the command line that lose no text: in a narrow terminal they become blocks, in a pipe wide lines."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

WIDEST = 10_000  # columns that no table has


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """Print rows under headers.

    A terminal that the table does not fit into shows a block for each row instead: its first cell, then a line for each further
    one that is not empty. Anything else (a file, a pipe) gets the whole table, a line for each row.

    Args:
        headers: of the columns.
        rows: as many cells as headers each; what names the row comes first.
        title: printed above.
    """
    rows = list(rows)
    table = Table(title=title)
    for header in headers:
        table.add_column(Text(header))  # "[m]" is a unit, no markup
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    wide = Console(width=WIDEST)
    needed = Measurement.get(wide, wide.options, table).maximum
    if needed <= console.width:
        console.print(table)
    elif not console.is_terminal:
        Console(width=needed).print(table)
    else:
        if title is not None:
            console.print(title, style="italic")
        for first, *others in rows:
            console.print(Text(first, style="bold"))
            for header, cell in zip(headers[1:], others, strict=True):
                if cell:
                    console.print(Text(f"  {header}: {cell}"), soft_wrap=True)
