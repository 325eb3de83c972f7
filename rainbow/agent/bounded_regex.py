"""Regular expressions on text from others, in bounded time: some patterns backtrack exponentially."""

import re
import signal
from typing import Any

# A sensible pattern needs a few milliseconds for the longest command.
SECONDS = 0.1


class TookTooLong(Exception):
    """The pattern did not decide in time."""


def matches(pattern: re.Pattern[str], text: str) -> bool:
    """Whether the pattern matches the whole text. Raises TookTooLong after a tenth of a second of processor time.

    Only for the main thread, which receives signals.
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
