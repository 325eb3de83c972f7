"""Progress over many jobs: a bar on a terminal, otherwise a line every 10 seconds."""

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rainbow.terminal.formatting import span
from rainbow.terminal.output import complain

SECONDS_BETWEEN_LINES = 10.0

Show = Callable[[int], None]


@contextmanager
def progress(total: int, *, quiet: bool) -> Iterator[Show]:
    if quiet:
        yield lambda done: None
    elif sys.stderr.isatty():
        with importlib.import_module("rainbow.terminal.bar").bar(total) as show:
            yield show
    else:
        yield Lines(total, clock=time.monotonic)


class Lines:
    def __init__(self, total: int, *, clock: Callable[[], float], tell: Callable[[str], None] = complain) -> None:
        self._total = total
        self._clock = clock
        self._tell = tell
        self._began_at = self._told_at = clock()

    def __call__(self, done: int) -> None:
        now = self._clock()
        if now - self._told_at < SECONDS_BETWEEN_LINES:
            return
        self._told_at = now
        rate = done / (now - self._began_at)
        left = f", about {span(round((self._total - done) / rate))} left" if rate else ""
        self._tell(f"{done:,} of {self._total:,} jobs, {rate:,.0f} a second{left}")
