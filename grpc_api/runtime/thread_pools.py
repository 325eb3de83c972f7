"""Thread pools for work on the database, so that nothing blocks the event loop."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from grpc_api.runtime.database_probe import DatabaseProbe, probe_of
from grpc_api.runtime.fairness import FairQueue
from grpc_api.runtime.metrics import DATABASE_AWAY, QUEUED_WORK, THREADS, THREADS_BUSY
from rainbow.errors import Unavailable, Untouched
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
AWAY = "the database does not answer now; try again"

_log = logging.getLogger("rainbow.grpc")


class DatabaseAway(Untouched):
    """The work was refused before it began, since the database does not answer."""


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
        self._writers = _Pool(writers, name="write")
        self._readers = _Pool(readers, name="read")
        self._is_away = False
        DATABASE_AWAY.set_function(lambda: self._is_away)

    async def write(self, work: Callable[[], T], *, caller: str = "") -> T:
        return await self._do(self._writers, lambda: _retrying_deadlocks(work), caller)

    async def read(self, work: Callable[[], T], *, caller: str = "") -> T:
        return await self._do(self._readers, lambda: _retrying_once(work), caller)

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
        pools = (self._writers, self._readers)
        for threads in pools:
            threads.close()
        until = time.monotonic() + patience_seconds
        if all(threads.have_ended(until) for threads in pools):
            return True
        for threads in pools:
            threads.give_up(self._probe.cut)
        until = time.monotonic() + _CUT_WITHIN_SECONDS
        return all(threads.have_ended(until) for threads in pools)

    async def _do(self, threads: "_Pool", work: Callable[[], T], caller: str) -> T:
        if self._is_away:
            raise DatabaseAway(AWAY)
        result: T = await threads.do(work, caller)
        return result

    def _is_suspicious(self) -> bool:
        since = time.monotonic() - self._probe.patience_seconds
        writers, readers = (threads.has_failed_or_is_older_than(since) for threads in (self._writers, self._readers))
        return writers or readers

    async def _wait_for_the_database(self) -> None:
        began = time.monotonic()
        self._is_away = True
        try:
            await self._until_it_answers()
        finally:
            self._is_away = False
        _log.warning(Line("the database answers again", seconds=time.monotonic() - began))

    async def _until_it_answers(self) -> None:
        stuck = sum(threads.give_up(self._probe.cut) for threads in (self._writers, self._readers))
        _log.warning(Line("the database does not answer: calls are refused until it does", stuck=stuck))
        while not await self._probe.answers():
            await asyncio.sleep(_PROBE_EVERY_SECONDS)


def _postgresql_threads() -> tuple[int, int]:
    """(writers, readers). Each keeps a connection of RAINBOW_DATABASE_POOL."""
    half = settings.RAINBOW_DATABASE_POOL // 2
    return min(_WRITERS, half), min(_READERS, half)


class _WorkItem:
    """Work for a thread, and its result. `link` is the connection of the thread that runs it as its `job`."""

    __slots__ = ("began_at", "future", "job", "link", "work")

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.began_at = 0.0
        self.job: Future[None] | None = None
        self.link: BaseDatabaseWrapper | None = None

    def succeed(self, result: Any) -> None:
        # Done already where the call was cancelled, or failed since the database is away.
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class _Pool:
    """Threads and the queue before them. All but the work itself runs on the event loop."""

    def __init__(self, number: int, *, name: str) -> None:
        self._number = number
        self._pool = ThreadPoolExecutor(number, thread_name_prefix=name)
        self._waiting = FairQueue[_WorkItem]()
        self._under_way: set[_WorkItem] = set()
        self._has_failed = False
        THREADS.labels(name).set(number)
        THREADS_BUSY.labels(name).set_function(lambda: len(self._under_way))
        QUEUED_WORK.labels(name).set_function(lambda: len(self._waiting))

    async def do(self, work: Callable[[], T], caller: str) -> T:
        item = _WorkItem(work)
        self._waiting.add(caller, item)
        self._start()
        result: T = await item.future
        return result

    def has_failed_or_is_older_than(self, moment: float) -> bool:
        """Whether the database failed some work since the last call, or work under way is older than `moment`."""
        has_failed, self._has_failed = self._has_failed, False
        return has_failed or any(item.began_at < moment and not item.future.done() for item in self._under_way)

    def give_up(self, cut: Callable[[BaseDatabaseWrapper], None]) -> int:
        """Fails all work, and frees the threads that are stuck; returns their number."""
        for item in self._waiting.take_all():
            item.fail(DatabaseAway(AWAY))
        for item in self._under_way:
            item.fail(Unavailable("the database stopped answering; what was asked may have been done"))
            if item.link is not None:
                cut(item.link)
        return len(self._under_way)

    def close(self) -> None:
        self._pool.shutdown(wait=False)

    def have_ended(self, moment: float) -> bool:
        """Waits until then at most for the work under way; blocks."""
        jobs = [item.job for item in self._under_way if item.job]
        return not wait(jobs, timeout=max(0.0, moment - time.monotonic())).not_done

    def _start(self) -> None:
        while len(self._under_way) < self._number and (item := self._waiting.next()):
            if not item.future.done():
                item.began_at = time.monotonic()
                self._under_way.add(item)
                item.job = self._pool.submit(self._run, item, asyncio.get_running_loop())

    def _run(self, item: _WorkItem, loop: asyncio.AbstractEventLoop) -> None:
        item.link = connections[DEFAULT_DB_ALIAS]
        try:
            outcome = partial(item.succeed, item.work())
        except BaseException as error:
            self._has_failed = self._has_failed or isinstance(error, OperationalError | InterfaceError)
            outcome = partial(item.fail, error)
        loop.call_soon_threadsafe(self._end, item, outcome)

    def _end(self, item: _WorkItem, outcome: Callable[[], None]) -> None:
        self._under_way.discard(item)
        outcome()
        self._start()


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
