"""Tables on stdout: drawn by rich on a terminal, plain aligned columns otherwise."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

Row = Sequence[str]


def show(title: str, head: Row, rows: Sequence[Row], *, note: str = "", left: bool = False) -> None:
    """Print a table.

    Parameters
    ----------
    title, note : str
        Lines above and below it; an empty one is left out.
    head : sequence of str
        Names of the columns.
    rows : sequence of sequence of str
        As many cells as there are columns. The first column is flush left, the others right.
    left : bool
        All columns are flush left, and the last one may wrap.
    """
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(
            title=escape(title) or None,
            caption=escape(note) or None,
            title_justify="left",
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        for i, name in enumerate(head):
            table.add_column(name, justify="left" if left or not i else "right", no_wrap=not left)
        for row in rows:
            table.add_row(*map(escape, row))
        Console().print(table)
        return
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(w) if left or not i else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in (head, *rows)
    ]
    print("\n".join(line.rstrip() for line in [title, *lines, note] if line))


def percent(value: float) -> str:
    """Percentage with two decimals; a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.2f}"


def decimal(value: float) -> str:
    """Number with one decimal; a dash for NaN."""
    return "-" if math.isnan(value) else f"{round(value, 1) + 0.0:.1f}"  # + 0.0: no minus sign before zero
