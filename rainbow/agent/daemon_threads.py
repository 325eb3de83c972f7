"""Threads that nobody waits for: the process may end while they do something that can be done again."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any


class DaemonThreads:
    """Like ThreadPoolExecutor, whose threads the interpreter waits for at its end."""

    def __init__(self, most: int, *, name: str) -> None:
        self._most = most
        self._name = name
        self._queue: SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = SimpleQueue()
        self._started = 0

    def submit(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        """For one thread to call."""
        future: Future[Any] = Future()
        self._queue.put((future, work, args))
        if self._started < self._most:
            self._started += 1
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        return future

    def _run(self) -> None:
        while True:
            future, work, args = self._queue.get()
            try:
                future.set_result(work(*args))
            except BaseException as error:
                future.set_exception(error)
