"""Values that are read from the database once in a second at most."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

_FRESH_SECONDS = 1
T = TypeVar("T")


class Remembered(Generic[T]):
    """A value that is read anew after a second, or once it is forgotten; also where a read was under way then."""

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._times_forgotten = 0
        self._kept: tuple[float, int, T] | None = None

    def value(self) -> T:
        now, times, kept = time.monotonic(), self._times_forgotten, self._kept
        if kept and now - kept[0] < _FRESH_SECONDS and kept[1] == times:
            return kept[2]
        value = self._read()
        self._kept = (now, times, value)
        return value

    def forget(self) -> None:
        self._times_forgotten += 1
