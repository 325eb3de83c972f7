"""Locks of flock(2) on whole files."""

import fcntl
import os


def is_locked(handle: int) -> bool:
    """Whether another open file has the exclusive lock. Closes this one, and so gives up the lock that was tried."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
