"""A log for lines that callers without a credential can cause."""

import logging
import time
from collections.abc import Callable

from rainbow.telemetry.lines import Line

_WINDOW_SECONDS = 60


class RateLimitedLog:
    """Writes up to `most` warnings a minute. The first of a later minute says how many were left out before it."""

    def __init__(self, log: logging.Logger, *, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._most = most
        self._clock = clock
        self._began = float("-inf")
        self._written = 0
        self._left_out = 0

    def warning(self, event: str, **fields: object) -> None:
        now = self._clock()
        if now - self._began >= _WINDOW_SECONDS:
            self._began, self._written = now, 0
        if self._written >= self._most:
            self._left_out += 1
            return
        self._written += 1
        self._log.warning(Line(event, **fields, left_out=self._left_out or None))
        self._left_out = 0
