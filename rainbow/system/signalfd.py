"""signalfd(2), which Python's library lacks: signals that are read from a file, with the values that came with them."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass

# An array of 1,024 bits in <bits/types/__sigset_t.h>, the size of signalfd_siginfo, and where it has its numbers.
_MASK_BYTES, _NOTE_BYTES = 128, 128
_NUMBER, _VALUE = slice(0, 4), slice(44, 48)
_LIBRARY = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """`value` is 0 unless the sender gave one (sigqueue(3))."""

    number: int
    value: int


def signals_as_file(numbers: Iterable[int]) -> int:
    """Blocks these signals; returns the file that can be read once one of them came."""
    blocked = frozenset(numbers)
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    mask = sum(1 << (number - 1) for number in blocked).to_bytes(_MASK_BYTES, "little")
    file = int(_LIBRARY.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC))
    if file < 0:
        raise OSError(ctypes.get_errno(), "signalfd failed")
    return file


def next_signal(file: int) -> Received | None:
    """One that came; None if none did."""
    try:
        note = os.read(file, _NOTE_BYTES)
    except BlockingIOError:
        return None
    return Received(number=_read(note[_NUMBER]), value=_read(note[_VALUE]))


def _read(content: bytes) -> int:
    return int.from_bytes(content, sys.byteorder)
