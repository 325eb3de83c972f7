"""Locks on files beside the database (flock(2)), which the processes that use it share."""

import _thread
import fcntl
import os
import threading
from pathlib import Path

_LOCKS = Path("/proc/locks")


def open_lock(path: str) -> int:
    """A descriptor of the file, which is made where it is missing. Raises OSError.

    Only its owner may open it: whoever can open a file can lock it, and keep it locked.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if os.fstat(file).st_uid == os.geteuid():
        os.fchmod(file, 0o600)
    return file


def holder_of(file: int) -> str:
    """Who has locked it, in words: "process 12", or "another process" where the system does not tell (proc(5))."""
    status = os.fstat(file)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        rows = [line.split() for line in _LOCKS.read_text().splitlines()]
    except OSError:
        rows = []
    holders = [row[4] for row in rows if row[1:2] == ["FLOCK"] and row[3] == "WRITE" and row[5] == place]
    return next((f"process {holder}" for holder in holders if int(holder) > 0), "another process")


class Claim:
    """Waits for an exclusive lock in a thread of its own, since flock(2) knows no time limit.

    The kernel serves those who wait in turn, and wakes them; asking again and again would do neither.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._mutex = threading.Lock()
        self._is_wanted, self._is_over, self._is_granted = True, False, False
        self._ungranted = threading.Lock()
        self._ungranted.acquire()
        # threading.Thread would wait until it runs; this is on the way of every writer that meets another.
        _thread.start_new_thread(self._wait, ())

    def is_granted_within(self, seconds: float) -> bool:
        """If not, what is granted later is given back, unless it is renewed before."""
        if self._ungranted.acquire(timeout=seconds):
            return True
        with self._mutex:
            self._is_wanted = self._is_granted
            return self._is_wanted

    def renew(self) -> bool:
        """Whether it still waits, and does so for its owner again."""
        with self._mutex:
            self._is_wanted = not self._is_over
            return self._is_wanted

    def drop(self) -> None:
        """Its owner closes the file, which gives up the lock, too."""
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
