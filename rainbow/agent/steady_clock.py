"""The clock of leases, heartbeats and intervals, which nobody sets."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

# On Linux `time.monotonic` stands still while the machine is suspended, and leases do not.
_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def utc_now() -> datetime:
    return datetime.now(UTC)


def elapsed_seconds() -> float:
    return time.clock_gettime(_ELAPSED)


class SteadyClock:
    """Says what time it was when it was made, and how much passed since, whatever the machine's clock was set to."""

    def __init__(
        self, *, wall_clock: Callable[[], datetime] = utc_now, elapsed_seconds: Callable[[], float] = elapsed_seconds
    ) -> None:
        self._elapsed_seconds = elapsed_seconds
        self._zero = wall_clock() - timedelta(seconds=elapsed_seconds())

    def now(self) -> datetime:
        return self._zero + timedelta(seconds=self._elapsed_seconds())
