"""Giving up a call whose answer does not come, where gRPC's deadlines are of no use: in calls with many answers."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watchdog:
    """Calls `give_up`, in a thread of its own, when a wait takes longer than it may."""

    def __init__(self, give_up: Callable[[], object]) -> None:
        self._give_up = give_up
        self._until = float("inf")
        self._changed = threading.Condition()
        self._is_over = False
        threading.Thread(target=self._run, daemon=True).start()

    @contextmanager
    def waiting(self, seconds: float) -> Iterator[None]:
        self._set(time.monotonic() + seconds)
        try:
            yield
        finally:
            self._set(float("inf"))

    def end(self) -> None:
        self._set(0.0, is_over=True)

    def _set(self, until: float, *, is_over: bool = False) -> None:
        with self._changed:
            is_sooner = until < self._until
            self._until, self._is_over = until, self._is_over or is_over
            if is_sooner:
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while (left := self._until - time.monotonic()) > 0:
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
            if self._is_over:
                return
        self._give_up()
