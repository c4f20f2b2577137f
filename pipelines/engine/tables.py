"""Tables on a terminal of any width: columns where they fit, a block for each row elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from sciddm.pipelines.engine.streams import shown

__all__ = ["fields", "print_rows"]


def fields() -> Table:
    """An empty table of names and values."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def print_rows(
    console: Console,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    left: Sequence[int] = (0,),
    bold: Sequence[int] = (),
) -> None:
    """Prints rows whose first cell names the others.

    Args:
        console: where to.
        header: names of the columns.
        rows: their cells; a block leaves empty ones out.
        left: columns of words; all others hold numbers.
        bold: rows that sum up the others.
    """
    # Two spaces stand between columns.
    rows = [[shown(cell) for cell in row] for row in rows]
    lines = [header, *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
    if sum(widths) + 2 * (len(widths) - 1) <= console.width:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for number, name in enumerate(header):
            table.add_column(name, justify="left" if number in left else "right", no_wrap=True)
        for number, row in enumerate(rows):
            table.add_row(*row, style="bold" if number in bold else None)
        console.print(table)
        return
    for number, row in enumerate(rows):
        if number:
            console.print()
        console.print(_folded(row[0], "bold"))
        block = fields()
        for name, cell in zip(header[1:], row[1:], strict=True):
            if cell:
                block.add_row(f"  {name}", _folded(cell))
        console.print(block)


def _folded(text: str, style: str = "") -> RenderableType:
    return Text(text, style=style, overflow="fold")
