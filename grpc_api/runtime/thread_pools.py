"""Thread pools for work on the database, so that nothing blocks the event loop."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from grpc_api.runtime.database_probe import DatabaseProbe, probe_of
from grpc_api.runtime.metrics import DATABASE_AWAY
from grpc_api.runtime.worker_threads import WorkerThreads
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

T = TypeVar("T")

_WRITERS = 4
_READERS = 4
# Threads that read SQLite at once contend for the GIL at every row: two are faster than four, and a long listing
# still does not delay the rest.
_SQLITE_READERS = 2
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_DEADLOCK_DETECTED = "40P01"
_DEADLOCKS_IN_A_ROW = 3
_PROBE_EVERY_SECONDS = 0.25
# All calls were answered when the threads are to end; a commit under way may finish.
_STOPS_WITHIN_SECONDS = 10.0
# A thread whose connection was cut retries once with another, for as long as connecting may take.
_CUT_WITHIN_SECONDS = 5.0

_log = logging.getLogger("rainbow.grpc")


class ThreadPools:
    """Two pools of threads, each thread with its own connection.

    SQLite has one writer at a time: writers in one thread's queue are served in turn, where writers that contend for
    the file's lock would sleep and retry.

    While the database does not answer, work is refused at once, and what was under way is given up: both raise
    Unavailable.
    """

    def __init__(self, *, probe: DatabaseProbe | None = None) -> None:
        writers, readers = (1, _SQLITE_READERS) if connection.vendor == "sqlite" else _postgresql_threads()
        # Batches of reads that calls share. On PostgreSQL one waits for the database while another works on its rows.
        self.shared_reads_at_once = 1 if connection.vendor == "sqlite" else max(1, readers // 2)
        self._probe = probe or probe_of(connection.vendor)
        self.writers = WorkerThreads(writers, name="write", run=_retrying_deadlocks)
        self.readers = WorkerThreads(readers, name="read", run=_retrying_once)
        DATABASE_AWAY.set_function(lambda: self.writers.is_away)

    async def write(self, work: Callable[[], T], *, caller: str = "") -> T:
        return await self.writers.do(work, caller=caller)

    async def read(self, work: Callable[[], T], *, caller: str = "") -> T:
        return await self.readers.do(work, caller=caller)

    async def watch(self) -> None:
        """Probes the database when work has failed or takes long, until it is cancelled."""
        while True:
            await asyncio.sleep(_PROBE_EVERY_SECONDS)
            try:
                if self._is_suspicious() and not await self._probe.answers():
                    await self._wait_for_the_database()
            # Of whatever kind: without this task an outage would never be noticed, or never end.
            except Exception as error:
                _log.warning(Line("cannot tell whether the database answers", error=Quoted(told(error))))

    def close(self, *, patience_seconds: float = _STOPS_WITHIN_SECONDS) -> bool:
        """Waits so long for work under way, then cuts its connections. Whether all threads have ended; blocks."""
        pools = (self.writers, self.readers)
        for threads in pools:
            threads.close()
        until = time.monotonic() + patience_seconds
        if all(threads.have_ended(until) for threads in pools):
            return True
        for threads in pools:
            threads.give_up(self._probe.cut)
        until = time.monotonic() + _CUT_WITHIN_SECONDS
        return all(threads.have_ended(until) for threads in pools)

    def _is_suspicious(self) -> bool:
        since = time.monotonic() - self._probe.patience_seconds
        writers, readers = (threads.has_failed_or_is_older_than(since) for threads in (self.writers, self.readers))
        return writers or readers

    async def _wait_for_the_database(self) -> None:
        began = time.monotonic()
        self._set_away(True)
        try:
            await self._until_it_answers()
        finally:
            self._set_away(False)
        _log.warning(Line("the database answers again", seconds=time.monotonic() - began))

    def _set_away(self, is_away: bool) -> None:
        self.writers.is_away = self.readers.is_away = is_away

    async def _until_it_answers(self) -> None:
        stuck = sum(threads.give_up(self._probe.cut) for threads in (self.writers, self.readers))
        _log.warning(Line("the database does not answer: calls are refused until it does", stuck=stuck))
        while not await self._probe.answers():
            await asyncio.sleep(_PROBE_EVERY_SECONDS)


def _postgresql_threads() -> tuple[int, int]:
    """(writers, readers). Each keeps a connection of RAINBOW_DATABASE_POOL."""
    half = settings.RAINBOW_DATABASE_POOL // 2
    return min(_WRITERS, half), min(_READERS, half)


def _retrying_deadlocks(work: Callable[[], T]) -> T:
    """Runs a transaction again that PostgreSQL rolled back as the victim of a deadlock."""
    for _ in range(_DEADLOCKS_IN_A_ROW):
        try:
            return _resetting_connection(work)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != _DEADLOCK_DETECTED:
                raise
    return _resetting_connection(work)


def _resetting_connection(work: Callable[[], T]) -> T:
    try:
        return work()
    except (OperationalError, InterfaceError):
        connection.close()
        raise


def _retrying_once(work: Callable[[], T]) -> T:
    """A connection may have died since its last use, and a read is safe to repeat."""
    try:
        return _resetting_connection(work)
    except (OperationalError, InterfaceError):
        return _resetting_connection(work)
