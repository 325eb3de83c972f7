"""Writes to the journal in their order, also while its disk is full."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from rainbow.system.disk_space import DiskFull

Write = Callable[[], None]


class WriteQueue:
    """What happened may be written late: after a crash the scheduler and the server say it again. What is about to
    happen may not.

    All that waits is written in one transaction, so with one fsync.
    """

    def __init__(self, transaction: Callable[[], AbstractContextManager[None]]) -> None:
        self._transaction = transaction
        self._waiting: list[Write] = []
        self._is_full = False

    def add(self, write: Write) -> None:
        """Write what happened with the next `flush`."""
        self._waiting.append(write)

    def write_now(self, write: Write) -> None:
        """Write what is about to happen, after all that waits. Raises DiskFull, and then it must not happen."""
        self._write([*self._waiting, write])

    def flush(self) -> bool:
        """Write what waits; whether the disk took the last write, and all before it."""
        try:
            if self._waiting:
                self._write(self._waiting)
        except DiskFull:
            return False
        return not self._is_full

    def _write(self, writes: list[Write]) -> None:
        self._is_full = True
        with self._transaction():
            for write in writes:
                write()
        self._is_full = False
        self._waiting = []
