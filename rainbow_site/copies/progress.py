"""Progress on a terminal: one line, written again and again."""

import sys
import time

_EVERY_SECONDS = 0.2
# Clears the rest of the line (ECMA-48).
_CLEAR = "\x1b[K"


class Progress:
    """Says nothing where standard error is no terminal."""

    def __init__(self) -> None:
        self._shows = sys.stderr.isatty()
        self._said_at = 0.0

    def say(self, text: str) -> None:
        now = time.monotonic()
        if self._shows and now - self._said_at >= _EVERY_SECONDS:
            self._said_at = now
            sys.stderr.write(f"\r{text}{_CLEAR}")
            sys.stderr.flush()

    def end(self) -> None:
        if self._shows and self._said_at:
            sys.stderr.write(f"\r{_CLEAR}")
            sys.stderr.flush()
