"""The clock of leases, heartbeats and intervals, which never goes back."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

# On Linux `time.monotonic` stands still while the machine is suspended, and leases do not.
_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
EARLIEST = datetime.min.replace(tzinfo=UTC)
# The machine's clock is slewed by less than that from one look to the next.
_STEP = timedelta(seconds=1)


def utc_now() -> datetime:
    return datetime.now(UTC)


def elapsed_seconds() -> float:
    return time.clock_gettime(_ELAPSED)


class SteadyClock:
    """Says what time it was when it was made, and how much passed since, though the machine's clock is set back.

    That it is set forward counts as time that passed: a virtual machine that stood still learns of it by that, and its
    leases may be over. But it does not count up to `not_before`, which it was before: a machine whose clock is behind
    when it starts has that set soon. Thread-safe.
    """

    def __init__(
        self,
        *,
        not_before: datetime = EARLIEST,
        wall_clock: Callable[[], datetime] = utc_now,
        elapsed_seconds: Callable[[], float] = elapsed_seconds,
    ) -> None:
        self._not_before = not_before
        self._wall_clock = wall_clock
        self._elapsed_seconds = elapsed_seconds
        self._lock = threading.Lock()
        self._now = self._wall = self._on_the_wall()
        self._elapsed = elapsed_seconds()

    def now(self) -> datetime:
        with self._lock:
            wall, elapsed = self._on_the_wall(), self._elapsed_seconds()
            passed, on_the_wall = timedelta(seconds=elapsed - self._elapsed), wall - self._wall
            self._now += on_the_wall if on_the_wall > passed + _STEP else passed
            self._wall, self._elapsed = wall, elapsed
            return self._now

    def _on_the_wall(self) -> datetime:
        return max(self._wall_clock(), self._not_before)
