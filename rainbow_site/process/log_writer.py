"""Writing log lines of calls in batches, so that neither their text nor the write holds up the event loop."""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

from rainbow.telemetry.lines import Line

# How long a line may wait for others.
GATHER_SECONDS = 0.01
# About 20 MB. What is logged beyond them, while standard error takes none, waits as any other write to it does.
MOST_WAITING = 10_000


class LineWriter(logging.StreamHandler[TextIO]):
    """Writes a `Line` below WARNING within GATHER_SECONDS, in one write with those that came with it.

    All else is written before `emit` returns, after what came before it: failures, and records that could change until
    they become text. A stop, or the end by an exception, writes all (logging.shutdown); SIGKILL loses what waits.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[logging.LogRecord] = deque()
        # Reentrant, since a signal's handler may log.
        self._writing = threading.RLock()
        self._is_called = threading.Event()
        # Taken by who starts the thread, and never given back.
        self._start = threading.Lock()
        os.register_at_fork(after_in_child=self._start_anew)

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the lock of handlers, which a thread may hold that waits for the writer: should the writer log, as
        finalizers may in any thread, each would wait for the other.
        """
        kept = self.filter(record)
        if kept:
            self.emit(kept if isinstance(kept, logging.LogRecord) else record)
        return bool(kept)

    def emit(self, record: logging.LogRecord) -> None:
        self._waiting.append(record)
        if not _may_wait(record) or len(self._waiting) >= MOST_WAITING:
            self.flush()
        elif not self._is_called.is_set():
            self._call_writer()

    def flush(self) -> None:
        with self._writing:
            if text := "".join(self._take_lines()):
                self._write(text)

    def _take_lines(self) -> Iterator[str]:
        """As many as wait now. A signal's handler that logs meanwhile, or a finalizer, takes some of them."""
        with suppress(IndexError):
            for _ in range(len(self._waiting)):
                yield self._text(self._waiting.popleft())

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            # Not StreamHandler's, which would keep others from emitting until it is written.
            self.stream.flush()
        # As StreamHandler: whatever the stream raises, the program goes on.
        except Exception:
            self.handleError(logging.makeLogRecord({"msg": "cannot write log lines"}))

    def _text(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record) + self.terminator
        except Exception:
            self.handleError(record)
            return ""

    def _call_writer(self) -> None:
        self._is_called.set()
        if self._start.acquire(blocking=False):
            try:
                threading.Thread(target=self._write_batches, name="log", daemon=True).start()
            except RuntimeError:
                # The system has no thread left, or Python ends.
                self._start.release()
                self._is_called.clear()
                self.flush()

    def _write_batches(self) -> None:
        while True:
            self._is_called.wait()
            time.sleep(GATHER_SECONDS)
            # Before the lines are taken: one that comes later calls again.
            self._is_called.clear()
            self.flush()

    def _start_anew(self) -> None:
        """In a forked child, which has the lines of its parent but not its thread."""
        self._waiting.clear()
        self._writing = threading.RLock()
        self._is_called = threading.Event()
        self._start = threading.Lock()


def _may_wait(record: logging.LogRecord) -> bool:
    return isinstance(record.msg, Line) and record.levelno < logging.WARNING and not record.exc_info
