"""signalfd(2), which Python's library lacks: signals that are read from a file."""

import ctypes
import os
import signal
from collections.abc import Iterable

# An array of 1,024 bits in <bits/types/__sigset_t.h>, and the size of signalfd_siginfo, which begins with the number.
_MASK_BYTES, _NOTE_BYTES, _NUMBER_BYTES = 128, 128, 4
_LIBRARY = ctypes.CDLL(None, use_errno=True)


def signals_as_file(numbers: Iterable[int]) -> int:
    """Blocks these signals; returns the file that can be read once one of them came."""
    blocked = frozenset(numbers)
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    mask = sum(1 << (number - 1) for number in blocked).to_bytes(_MASK_BYTES, "little")
    file = int(_LIBRARY.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC))
    if file < 0:
        raise OSError(ctypes.get_errno(), "signalfd failed")
    return file


def next_signal(file: int) -> int:
    """The number of one that came; 0 if none did."""
    try:
        return int.from_bytes(os.read(file, _NOTE_BYTES)[:_NUMBER_BYTES], "little")
    except BlockingIOError:
        return 0
