"""Threads for the database's work, so that nothing blocks the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from django.db import InterfaceError, OperationalError, connection

T = TypeVar("T")

_WRITERS = 4
_READERS = 4
# Threads that read SQLite at once fight over Python's lock at every row: two are faster than four, and a long
# listing still does not hold up the rest.
_SQLITE_READERS = 2
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_DEADLOCK_DETECTED = "40P01"
_DEADLOCKS_IN_A_ROW = 3


class Lane(Protocol):
    """Does some work in one of its threads."""

    async def __call__(self, work: Callable[[], T]) -> T: ...


class Lanes:
    """Two pools of threads, each thread with its own connection.

    SQLite has one writer at a time: writers that wait in one thread's queue are served in turn, where writers
    that contend for the file's lock would sleep and retry.
    """

    def __init__(self) -> None:
        sqlite = connection.vendor == "sqlite"
        self._writers = ThreadPoolExecutor(1 if sqlite else _WRITERS, thread_name_prefix="write")
        self._readers = ThreadPoolExecutor(_SQLITE_READERS if sqlite else _READERS, thread_name_prefix="read")

    async def write(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writers, _until_it_is_let, work)

    async def read(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, _tried_twice, work)

    def close(self) -> None:
        """Waits for what is under way."""
        for pool in (self._writers, self._readers):
            pool.shutdown()


def _until_it_is_let(work: Callable[[], T]) -> T:
    """Does work again that PostgreSQL undid because its transaction and another one waited for each other."""
    for _ in range(_DEADLOCKS_IN_A_ROW):
        try:
            return _attended(work)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != _DEADLOCK_DETECTED:
                raise
    return _attended(work)


def _attended(work: Callable[[], T]) -> T:
    """Keeps its thread's connection; after a failure the next call begins with a new one."""
    try:
        return work()
    except (OperationalError, InterfaceError):
        connection.close()
        raise


def _tried_twice(work: Callable[[], T]) -> T:
    """A connection may have died since its last use; looking again does no harm."""
    try:
        return _attended(work)
    except (OperationalError, InterfaceError):
        return _attended(work)
