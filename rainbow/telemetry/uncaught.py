"""Failures that end a process or a thread, in the log like any other."""

import logging
import sys
import threading
from types import TracebackType

_log = logging.getLogger("rainbow")


def log_uncaught() -> None:
    sys.excepthook = _write
    threading.excepthook = lambda ended: _write(ended.exc_type, ended.exc_value, ended.exc_traceback)


def _write(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is None or isinstance(error, KeyboardInterrupt | SystemExit):
        sys.__excepthook__(kind, error or kind(), trace)
    else:
        _log.critical("unexpected failure", exc_info=error)
