"""The order of what is noted in the journal, also while its disk is full."""

from collections import deque
from collections.abc import Callable

from rainbow.disk import DiskFull

Write = Callable[[], None]


class Notes:
    """What happened can be noted later: after a crash the scheduler and the server tell it again. What is about to
    happen cannot.
    """

    def __init__(self) -> None:
        self._waiting: deque[Write] = deque()
        self._is_full = False

    def happened(self, write: Write) -> None:
        """Note it now, or as soon as the disk takes it."""
        self._waiting.append(write)
        self.are_complete()

    def about_to_happen(self, write: Write) -> None:
        """Note it now, after all that happened before. Raises DiskFull, and then it must not happen."""
        self._catch_up()
        self._do(write)

    def are_complete(self) -> bool:
        """Whether the disk took the last note, and all before it; those that wait are tried again."""
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
