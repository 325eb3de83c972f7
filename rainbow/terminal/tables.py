"""Tables: drawn by rich on a terminal, aligned columns elsewhere."""

import sys
from collections.abc import Sequence
from itertools import zip_longest

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rainbow.text import on_one_line

STYLES = {"completed": "green", "running": "cyan", "failed": "red", "lost": "yellow", "cancelled": "dim"}
GAP = 2
WIDEST = 40  # of every column but the last
SHORT = 10  # as ids are: such a column is whole


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if sys.stdout.isatty():
        console = Console()
        console.print(drawn(columns, rows, width=console.width), crop=False)
    else:
        click.echo(aligned([list(columns), *_printable(rows)]))


def aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip_longest(*lines, fillvalue="")]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def drawn(columns: Sequence[str], rows: Sequence[Sequence[str]], *, width: int) -> Table:
    """No wider than the terminal, unless not even the titles and short cells fit."""
    cells = _printable(rows)
    widths = _widths([[cell_len(text) for text in column] for column in zip(columns, *cells, strict=True)], width)
    # Left to itself, rich makes all columns narrower in proportion where they do not fit, down to nothing.
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0), width=_total(widths))
    for column, room in zip(columns, widths, strict=True):
        table.add_column(column, no_wrap=True, overflow="ellipsis", width=room)
    for row in cells:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    return table


def _widths(lengths: Sequence[Sequence[int]], width: int) -> list[int]:
    """Of each column, whose first length is that of its title: the widest give way until all fit."""
    widest = [max(column) for column in lengths]
    lowest = [most if most <= SHORT else column[0] for column, most in zip(lengths, widest, strict=True)]
    widths = [max(low, min(most, WIDEST)) for low, most in zip(lowest, widest[:-1], strict=False)]
    widths.append(max(lowest[-1], min(widest[-1], width)))
    while _total(widths) > width:
        spare = [number for number, room in enumerate(widths) if room > lowest[number]]
        if not spare:
            break
        widths[max(spare, key=widths.__getitem__)] -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _printable(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[on_one_line(cell) for cell in row] for row in rows]
