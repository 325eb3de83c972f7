"""pidfd_send_signal(2) with a value, which Python's library cannot send."""

import ctypes
import os
import signal

# The same for all machines that Linux numbered alike since 5.1.
_PIDFD_SEND_SIGNAL = 424
_SI_QUEUE = -1
_INFO_BYTES = 128
_LIBRARY = ctypes.CDLL(None, use_errno=True)


class _Queued(ctypes.Structure):
    _fields_ = (("process", ctypes.c_int), ("user", ctypes.c_uint), ("value", ctypes.c_void_p))


class _Info(ctypes.Structure):
    """siginfo_t of sigqueue(3)."""

    _fields_ = (
        ("number", ctypes.c_int),
        ("error", ctypes.c_int),
        ("code", ctypes.c_int),
        ("queued", _Queued),
        ("rest", ctypes.c_char * (_INFO_BYTES - 16 - ctypes.sizeof(_Queued))),
    )


def send_signal(handle: int, number: signal.Signals, value: int) -> None:
    """Raises OSError as signal.pidfd_send_signal does."""
    queued = _Queued(process=os.getpid(), user=os.getuid(), value=value)
    info = _Info(number=number, code=_SI_QUEUE, queued=queued)
    if _LIBRARY.syscall(_PIDFD_SEND_SIGNAL, handle, int(number), ctypes.byref(info), 0) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
