"""A list of jobs on a terminal that is drawn again and again, until Ctrl-C."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NoReturn

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rainbow.client import Client
from rainbow.errors import Unavailable
from rainbow.records import Job
from rainbow.terminal.job_columns import NO_JOBS, rows_of, titles, usual_columns
from rainbow.terminal.job_search import Search, listed
from rainbow.terminal.tables import drawn
from rainbow.text import on_one_line

REDRAW_SECONDS = 2.0
MORE = "There are more; a larger --limit shows them."


def keep_showing(
    client: Client,
    search: Search,
    columns: Sequence[str],
    *,
    console: Console,
    sleep: Callable[[float], None] = time.sleep,
) -> NoReturn:
    """While the server is away, it shows what it had last, and says so. Raises what the first look raises."""
    found, at, trouble = listed(client, search), datetime.now(UTC), ""
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            note = Text(f"{at.astimezone():%H:%M:%S}  {trouble or (MORE if found.more else '')}", style="dim")
            live.update(Group(_picture(found.jobs, columns, search, console.width), note), refresh=True)
            sleep(REDRAW_SECONDS)
            try:
                found, at, trouble = listed(client, search), datetime.now(UTC), ""
            except Unavailable as error:
                trouble = on_one_line(f"No news since then: {error.message}")


def _picture(jobs: Sequence[Job], columns: Sequence[str], search: Search, width: int) -> Table | Text:
    if not jobs:
        return Text(NO_JOBS)
    names = columns or usual_columns(jobs, states=search.states)
    return drawn(titles(names), rows_of(jobs, names, now=datetime.now(UTC)), width=width)
