"""Password hashing, which takes tenths of a second of CPU by design, one at a time and at low priority."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from django.contrib.auth.hashers import PBKDF2PasswordHasher

# Queued in a process, including the one being hashed; each occupies one of its few threads.
MOST_IN_LINE = 3
# Added to the process's niceness.
_NICER = 5
_NICEST = 19


class TooBusy(Exception):
    """Too many passwords are queued."""


def _be_nice() -> None:
    """Lowers the priority of this thread only, which Linux allows (sched(7))."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + _NICER, _NICEST))


_LINE = threading.BoundedSemaphore(MOST_IN_LINE)
# One thread: hashing releases the GIL, so two would use two CPUs.
_HASHING = ThreadPoolExecutor(1, thread_name_prefix="hash", initializer=_be_nice)


def check_line() -> None:
    """Raises TooBusy before any work is done for a password that would be refused."""
    if not _LINE.acquire(blocking=False):
        raise TooBusy
    _LINE.release()


class OneByOneHasher(PBKDF2PasswordHasher):
    """Django's PBKDF2, one hash at a time in each process. Raises TooBusy."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        if not _LINE.acquire(blocking=False):
            raise TooBusy
        try:
            return _HASHING.submit(super().encode, password, salt, iterations).result()
        finally:
            _LINE.release()
