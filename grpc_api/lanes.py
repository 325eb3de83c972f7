"""Threads for the database's work, so that nothing blocks the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import close_old_connections, connection

T = TypeVar("T")

_READERS = 4
_WRITERS = 4


class Lanes:
    """Two pools of threads, each thread with its own connection.

    SQLite has one writer at a time: writers that wait in one thread's queue are served in turn, where writers
    that contend for the file's lock would sleep and retry.
    """

    def __init__(self) -> None:
        writers = _WRITERS if connection.vendor == "postgresql" else 1
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="write")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="read")

    async def write(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writers, _attended, work)

    async def read(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, _attended, work)

    def close(self) -> None:
        """Waits for what is under way."""
        for pool in (self._writers, self._readers):
            pool.shutdown()


def _attended(work: Callable[[], T]) -> T:
    """Does for a call what Django's request signals do for a page: broken and spent connections go."""
    close_old_connections()
    try:
        return work()
    finally:
        close_old_connections()
