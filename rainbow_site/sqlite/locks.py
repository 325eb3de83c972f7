"""Lock files beside the database (flock(2)), shared by the processes that use it."""

import _thread
import fcntl
import os
import threading
from pathlib import Path

_LOCKS = Path("/proc/locks")


def open_lock(path: str) -> int:
    """A descriptor of the file, which is created if it is missing. Raises OSError.

    Only its owner may open it: a process that can open a file can lock it.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if os.fstat(file).st_uid == os.geteuid():
        os.fchmod(file, 0o600)
    return file


def holder_of(file: int) -> str:
    """The holder of the lock in words: "process 12", or "another process" if the system does not tell (proc(5))."""
    status = os.fstat(file)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        rows = [line.split() for line in _LOCKS.read_text().splitlines()]
    except OSError:
        rows = []
    holders = [row[4] for row in rows if row[1:2] == ["FLOCK"] and row[3] == "WRITE" and row[5] == place]
    return next((f"process {holder}" for holder in holders if int(holder) > 0), "another process")


class Claim:
    """Waits for an exclusive lock in a thread, since flock(2) has no timeout.

    The kernel serves waiters in order and wakes them; polling would do neither.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._mutex = threading.Lock()
        self._is_wanted, self._is_over, self._is_granted = True, False, False
        self._ungranted = threading.Lock()
        self._ungranted.acquire()
        # threading.Thread waits until it runs; this is on the path of every contending writer.
        _thread.start_new_thread(self._wait, ())

    def is_granted_within(self, seconds: float) -> bool:
        """On False, a lock that is granted later is released, unless renewed before."""
        if self._ungranted.acquire(timeout=seconds):
            return True
        with self._mutex:
            self._is_wanted = self._is_granted
            return self._is_wanted

    def renew(self) -> bool:
        """Whether it is still waiting; if so, it waits for its owner again."""
        with self._mutex:
            self._is_wanted = not self._is_over
            return self._is_wanted

    def drop(self) -> None:
        """For an owner that closes the file, which also releases the lock."""
        with self._mutex:
            self._is_over = True

    def _wait(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        with self._mutex:
            if self._is_wanted and not self._is_over:
                self._is_granted = True
                self._ungranted.release()
            elif not self._is_over:
                fcntl.flock(self._file, fcntl.LOCK_UN)
                self._is_over = True
