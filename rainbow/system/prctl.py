"""prctl(2), which Python's library lacks."""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36


def hide_memory() -> bool:
    """Keep other processes of this user from this one's memory, environment and open files; whether it worked.

    /proc/PID/environ and the like then belong to root, only root may trace the process, and it dumps no core.
    """
    return _prctl(PR_SET_DUMPABLE, 0)


def close_standard_input() -> None:
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)


def adopt_orphans() -> bool:
    """Become the parent of all orphaned descendants; whether it worked."""
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """Be killed when the parent, which has this number, ends."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _prctl(option: int, value: int) -> bool:
    try:
        done: int = ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (OSError, AttributeError):
        return False  # not Linux
    return done == 0
