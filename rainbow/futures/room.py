"""When jobs that a limit refused for now are submitted again."""

import asyncio
import logging
from collections.abc import Callable

from rainbow.errors import LimitReached
from rainbow.telemetry.lines import Line

# After one of our own jobs has left the queue, which may make room before the server said.
SOONER_SECONDS = 5.0

_log = logging.getLogger("rainbow.futures")


class Room:
    """`may_be_there` is called once there may be room again."""

    def __init__(self, may_be_there: Callable[[], object]) -> None:
        self._may_be_there = may_be_there
        self._loop = asyncio.get_running_loop()
        self._full_until = 0.0
        self._told = ""

    def is_there(self) -> bool:
        return self._loop.time() >= self._full_until

    def note_refusal(self, error: LimitReached) -> None:
        self.tell(str(error))
        self._wait(error.retry_after_seconds)

    def note_leaving(self) -> None:
        """One of our own jobs waits no longer."""
        if self._full_until > self._loop.time() + SOONER_SECONDS:
            self._wait(SOONER_SECONDS)

    def tell(self, why: str) -> None:
        """Why futures may take long, once until there is another reason, or none."""
        if why and why != self._told:
            _log.warning(Line("jobs of futures wait", reason=why))
        self._told = why

    def _wait(self, seconds: float) -> None:
        self._full_until = self._loop.time() + seconds
        self._loop.call_at(self._full_until, self._may_be_there)
