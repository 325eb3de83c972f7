"""Regular expressions against the text of strangers: some patterns take longer than the age of the world."""

import re
import signal
from typing import Any

# A sensible pattern needs a few milliseconds for the longest command.
SECONDS = 0.1


class TookTooLong(Exception):
    """A pattern was not done with a text in time."""


def matches(pattern: re.Pattern[str], text: str) -> bool:
    """Whether the pattern is the whole of the text. Raises TookTooLong after a tenth of a second of processor time.

    For the main thread, which alone gets signals.
    """
    before = signal.signal(signal.SIGVTALRM, _give_up)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            return pattern.fullmatch(text) is not None
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    finally:
        signal.signal(signal.SIGVTALRM, before)


def _give_up(*_: Any) -> None:
    raise TookTooLong
