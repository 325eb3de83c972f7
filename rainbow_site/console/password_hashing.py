"""Hashing passwords without keeping other callers waiting: it takes tenths of a second of a processor on purpose."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from django.contrib.auth.hashers import PBKDF2PasswordHasher

# How many may wait for their turn in a process, with the one whose turn it is; each holds one of its few threads.
MOST_IN_LINE = 3
# How much nicer than the process the thread that hashes is.
_NICER = 5
_NICEST = 19


class TooBusy(Exception):
    """So many passwords are being hashed that this one has to be offered again."""


def _be_nice() -> None:
    """On Linux a thread has a niceness of its own (sched(7)), so that all that is not hashing goes first."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + _NICER, _NICEST))


_LINE = threading.BoundedSemaphore(MOST_IN_LINE)
# One thread: hashing lets go of Python's lock, so that two would take two processors.
_HASHING = ThreadPoolExecutor(1, thread_name_prefix="hash", initializer=_be_nice)


def check_line() -> None:
    """Raises TooBusy now, before anything is done for a password that would be sent away."""
    if not _LINE.acquire(blocking=False):
        raise TooBusy
    _LINE.release()


class OneByOneHasher(PBKDF2PasswordHasher):
    """Django's own PBKDF2, one hash at a time in each process. Raises TooBusy where too many wait already."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        if not _LINE.acquire(blocking=False):
            raise TooBusy
        try:
            return _HASHING.submit(super().encode, password, salt, iterations).result()
        finally:
            _LINE.release()
