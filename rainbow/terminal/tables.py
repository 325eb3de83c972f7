"""Tables: drawn by rich on a terminal, aligned columns elsewhere."""

import sys
from collections.abc import Sequence
from itertools import zip_longest

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rainbow.text import on_one_line

STYLES = {"completed": "green", "running": "cyan", "failed": "red", "lost": "yellow", "cancelled": "dim"}
GAP = 2
WIDEST = 40  # of every column but the last
NARROWEST = 10  # of the last


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if sys.stdout.isatty():
        console = Console()
        console.print(drawn(columns, rows, width=console.width))
    else:
        click.echo(aligned([list(columns), *_printable(rows)]))


def aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip_longest(*lines, fillvalue="")]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def drawn(columns: Sequence[str], rows: Sequence[Sequence[str]], *, width: int) -> Table:
    """No wider than the terminal: the last column has what the others leave."""
    cells = _printable(rows)
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))
    left = width
    for number, column in enumerate(columns, start=1):
        widest = max(len(text) for text in (column, *(row[number - 1] for row in cells)))
        room = max(left, NARROWEST) if number == len(columns) else min(widest, WIDEST)
        table.add_column(column, no_wrap=True, overflow="ellipsis", min_width=min(widest, room), max_width=room)
        left -= room + GAP
    for row in cells:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    return table


def _printable(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[on_one_line(cell) for cell in row] for row in rows]
