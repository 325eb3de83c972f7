"""Writes to the journal in their order, also while its disk is full."""

from collections import deque
from collections.abc import Callable

from rainbow.system.disk_space import DiskFull

Write = Callable[[], None]


class WriteQueue:
    """What happened may be written late: after a crash the scheduler and the server say it again. What is about to
    happen may not.
    """

    def __init__(self) -> None:
        self._waiting: deque[Write] = deque()
        self._is_full = False

    def add(self, write: Write) -> None:
        """Write what happened, now or as soon as the disk has space."""
        self._waiting.append(write)
        self.flush()

    def write_now(self, write: Write) -> None:
        """Write what is about to happen, after all that waits. Raises DiskFull, and then it must not happen."""
        self._catch_up()
        self._do(write)

    def flush(self) -> bool:
        """Try again what waits; whether the disk took the last write, and all before it."""
        try:
            self._catch_up()
        except DiskFull:
            return False
        return not self._is_full

    def _catch_up(self) -> None:
        while self._waiting:
            self._do(self._waiting[0])
            self._waiting.popleft()

    def _do(self, write: Write) -> None:
        self._is_full = True
        write()
        self._is_full = False
