"""Which runners live, and a wake-up when one ends, by pidfd: it also works for those of an earlier agent."""

import os
import resource
import select
import sys
import threading
from collections.abc import Callable
from datetime import datetime

from rainbow.executors.runners import is_runner


def ignore_end() -> None:
    """Without an agent none waits for ends."""


class RunnerEnds:
    """Each runner costs a handle, so no more are followed than leave half of the handles to others. Thread-safe."""

    def __init__(self) -> None:
        self._started_at: dict[str, datetime | None] = {}
        self._keys: dict[int, str] = {}
        self._epoll: select.epoll | None = None
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = sys.maxsize if files == resource.RLIM_INFINITY else files // 2
        self._turn = threading.Lock()
        self.notify: Callable[[], None] = ignore_end

    def lives(self, key: str) -> bool:
        """Whether it certainly does."""
        return key in self._started_at

    def started_at(self, key: str) -> datetime | None:
        return self._started_at.get(key)

    def follow(self, key: str, process: int, started_at: datetime | None) -> bool:
        """Whether it lives, and its end will be told."""
        with self._turn:
            return self._follow(key, process, started_at)

    def _follow(self, key: str, process: int, started_at: datetime | None) -> bool:
        if key in self._started_at:
            return True
        if len(self._keys) >= self._most:
            return False
        try:
            handle = os.pidfd_open(process)
        except OSError:
            return False
        # It was opened before this check, so it cannot be another process of the same number.
        if not is_runner(process, key):
            os.close(handle)
            return False
        self._started_at[key], self._keys[handle] = started_at, key
        self._wait_for(handle)
        return True

    def _wait_for(self, handle: int) -> None:
        if self._epoll is None:
            self._epoll = select.epoll()
            threading.Thread(target=self._run, args=(self._epoll,), daemon=True, name="ends of runners").start()
        self._epoll.register(handle, select.EPOLLIN)

    def _run(self, epoll: select.epoll) -> None:
        while True:
            for handle, _ in epoll.poll():
                with self._turn:
                    epoll.unregister(handle)
                    del self._started_at[self._keys.pop(handle)]
                    os.close(handle)
            self.notify()
