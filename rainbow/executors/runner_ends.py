"""Which jobs of runners go on, and a wake-up when one ends: also of those that an earlier agent started."""

import os
import resource
import select
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from rainbow.executors.runner import Runner
from rainbow.executors.runners import is_runner


def ignore_end() -> None:
    """Without an agent none waits for ends."""


class _Followed(Protocol):
    """`fileno` can be read once the job is over."""

    def fileno(self) -> int: ...

    def over(self) -> None: ...


class _Process:
    """That of an earlier agent's runner, which ends with its job."""

    def __init__(self, process: int) -> None:
        self._handle = os.pidfd_open(process)

    def fileno(self) -> int:
        return self._handle

    def over(self) -> None:
        os.close(self._handle)


class RunnerEnds:
    """Each runner costs a handle, so no more are followed than leave half of the handles to others. Thread-safe."""

    def __init__(self) -> None:
        self._started_at: dict[str, datetime | None] = {}
        self._followed: dict[int, tuple[str, _Followed]] = {}
        # Of earlier agents, by keys.
        self._adopted: dict[str, int] = {}
        self._epoll: select.epoll | None = None
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = sys.maxsize if files == resource.RLIM_INFINITY else files // 2
        self._turn = threading.Lock()
        self.notify: Callable[[], None] = ignore_end

    def lives(self, key: str) -> bool:
        """Whether it certainly does. The runner of an earlier agent ends with its job. If that agent is still there, as
        none should be, the runner may have taken another job.
        """
        adopted = self._adopted.get(key)
        return key in self._started_at and (adopted is None or is_runner(adopted, key))

    def started_at(self, key: str) -> datetime | None:
        return self._started_at.get(key)

    def follow(self, key: str, runner: Runner) -> bool:
        """A runner that has begun the job; whether its end will be told."""
        with self._turn:
            if key in self._started_at or len(self._followed) >= self._most:
                return False
            self._wait_for(key, runner, runner.started_at)
            return True

    def follow_process(self, key: str, process: int, started_at: datetime | None) -> bool:
        """Whether it is the job's runner, and its end will be told."""
        with self._turn:
            return key in self._started_at or self._adopts(key, process, started_at)

    def _adopts(self, key: str, process: int, started_at: datetime | None) -> bool:
        if len(self._followed) >= self._most:
            return False
        try:
            followed = _Process(process)
        except OSError:
            return False
        # It was opened before this check, so it cannot be another process of the same number.
        if not is_runner(process, key):
            followed.over()
            return False
        self._adopted[key] = process
        self._wait_for(key, followed, started_at)
        return True

    def _wait_for(self, key: str, followed: _Followed, started_at: datetime | None) -> None:
        if self._epoll is None:
            self._epoll = select.epoll()
            threading.Thread(target=self._run, args=(self._epoll,), daemon=True, name="ends of runners").start()
        self._started_at[key], self._followed[followed.fileno()] = started_at, (key, followed)
        self._epoll.register(followed.fileno(), select.EPOLLIN)

    def _run(self, epoll: select.epoll) -> None:
        while True:
            for handle, _ in epoll.poll():
                with self._turn:
                    epoll.unregister(handle)
                    key, followed = self._followed.pop(handle)
                    del self._started_at[key]
                    self._adopted.pop(key, None)
                    followed.over()
            self.notify()
