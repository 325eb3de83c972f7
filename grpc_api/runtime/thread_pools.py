"""Threads for the database's work, so that nothing blocks the event loop."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, Protocol, TypeVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from grpc_api.runtime.fairness import FairQueue
from grpc_api.runtime.pulse import Pulse, pulse_of
from rainbow.errors import Unavailable, Untouched

T = TypeVar("T")

_WRITERS = 4
_READERS = 4
# Threads that read SQLite at once fight over Python's lock at every row: two are faster than four, and a long
# listing still does not hold up the rest.
_SQLITE_READERS = 2
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_DEADLOCK_DETECTED = "40P01"
_DEADLOCKS_IN_A_ROW = 3
_LOOK_EVERY_SECONDS = 0.25
# Nobody waits for an answer any more when the threads are to end; a commit under way is let through.
_STOPS_WITHIN_SECONDS = 10.0
# A thread whose connection was cut may try once more with another, for as long as connecting may take.
_CUT_WITHIN_SECONDS = 5.0
AWAY = "the database does not answer now; try again"

_log = logging.getLogger("rainbow.grpc")


class DatabaseAway(Untouched):
    """The database does not answer, and was not asked."""


class ThreadPool(Protocol):
    """Does some work in one of its threads. Callers who have much to do take turns with the others."""

    async def __call__(self, work: Callable[[], T], *, caller: str = "") -> T: ...


class ThreadPools:
    """Two pools of threads, each thread with its own connection.

    SQLite has one writer at a time: writers that wait in one thread's queue are served in turn, where writers
    that contend for the file's lock would sleep and retry.

    While the database does not answer, nobody waits for it: work is refused at once, and what was under way is given
    up. Raises Unavailable then.
    """

    def __init__(self, *, pulse: Pulse | None = None) -> None:
        writers, readers = (1, _SQLITE_READERS) if connection.vendor == "sqlite" else _postgresql_threads()
        self._pulse = pulse or pulse_of(connection.vendor)
        self._writers = _Threads(writers, name="write")
        self._readers = _Threads(readers, name="read")
        self._is_away = False

    async def write(self, work: Callable[[], T], *, caller: str = "") -> T:
        return await self._do(self._writers, lambda: _until_it_is_let(work), caller)

    async def read(self, work: Callable[[], T], *, caller: str = "") -> T:
        return await self._do(self._readers, lambda: _tried_twice(work), caller)

    async def watch(self) -> None:
        """Looks, for ever, whether the database answers, when something has failed or takes long."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            try:
                if self._is_suspicious() and not await self._pulse.beats():
                    await self._wait_for_the_database()
            # Whatever it is: without this chore an outage would stay what it was, or never begin.
            except Exception as error:
                _log.warning("cannot tell whether the database answers error=%r", str(error))

    def close(self, *, patience_seconds: float = _STOPS_WITHIN_SECONDS) -> bool:
        """Waits so long for what is under way, cuts its connections, and says whether all threads have ended."""
        pools = (self._writers, self._readers)
        for threads in pools:
            threads.close()
        until = time.monotonic() + patience_seconds
        if all(threads.have_ended(until) for threads in pools):
            return True
        for threads in pools:
            threads.give_up(self._pulse.cut)
        until = time.monotonic() + _CUT_WITHIN_SECONDS
        return all(threads.have_ended(until) for threads in pools)

    async def _do(self, threads: "_Threads", work: Callable[[], T], caller: str) -> T:
        if self._is_away:
            raise DatabaseAway(AWAY)
        result: T = await threads.do(work, caller)
        return result

    def _is_suspicious(self) -> bool:
        since = time.monotonic() - self._pulse.patience_seconds
        writers, readers = (threads.has_failed_or_is_older_than(since) for threads in (self._writers, self._readers))
        return writers or readers

    async def _wait_for_the_database(self) -> None:
        began = time.monotonic()
        self._is_away = True
        try:
            await self._until_it_answers()
        finally:
            self._is_away = False
        _log.warning("the database answers again seconds=%.1f", time.monotonic() - began)

    async def _until_it_answers(self) -> None:
        stuck = sum(threads.give_up(self._pulse.cut) for threads in (self._writers, self._readers))
        _log.warning("the database does not answer: calls are refused until it does stuck=%d", stuck)
        while not await self._pulse.beats():
            await asyncio.sleep(_LOOK_EVERY_SECONDS)


def _postgresql_threads() -> tuple[int, int]:
    """Each thread keeps a connection, and the pool has to have one for each."""
    half = settings.RAINBOW_DATABASE_POOL // 2
    return min(_WRITERS, half), min(_READERS, half)


class _Piece:
    """Work for a thread, and who waits for it. `link` is the connection of the thread that does it as its `job`."""

    __slots__ = ("began_at", "future", "job", "link", "work")

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.began_at = 0.0
        self.job: Future[None] | None = None
        self.link: BaseDatabaseWrapper | None = None

    def succeed(self, result: Any) -> None:
        # Who gave up, or was told that the database is away, does not listen any more.
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class _Threads:
    """So many threads, and what waits for one. All but the work itself runs on the event loop."""

    def __init__(self, number: int, *, name: str) -> None:
        self._number = number
        self._pool = ThreadPoolExecutor(number, thread_name_prefix=name)
        self._waiting = FairQueue[_Piece]()
        self._under_way: set[_Piece] = set()
        self._has_failed = False

    async def do(self, work: Callable[[], T], caller: str) -> T:
        piece = _Piece(work)
        self._waiting.add(caller, piece)
        self._start()
        result: T = await piece.future
        return result

    def has_failed_or_is_older_than(self, moment: float) -> bool:
        """Whether the database failed some work since the last time, or somebody waits for longer."""
        has_failed, self._has_failed = self._has_failed, False
        return has_failed or any(piece.began_at < moment and not piece.future.done() for piece in self._under_way)

    def give_up(self, cut: Callable[[BaseDatabaseWrapper], None]) -> int:
        """Tells everybody who waits, and frees the threads that are stuck; gives their number."""
        for piece in self._waiting.take_all():
            piece.fail(DatabaseAway(AWAY))
        for piece in self._under_way:
            piece.fail(Unavailable("the database stopped answering; what was asked may have been done"))
            if piece.link is not None:
                cut(piece.link)
        return len(self._under_way)

    def close(self) -> None:
        self._pool.shutdown(wait=False)

    def have_ended(self, moment: float) -> bool:
        """Waits until then at most for the work under way; blocks its caller."""
        jobs = [piece.job for piece in self._under_way if piece.job]
        return not wait(jobs, timeout=max(0.0, moment - time.monotonic())).not_done

    def _start(self) -> None:
        while len(self._under_way) < self._number and (piece := self._waiting.next()):
            if not piece.future.done():
                piece.began_at = time.monotonic()
                self._under_way.add(piece)
                piece.job = self._pool.submit(self._run, piece, asyncio.get_running_loop())

    def _run(self, piece: _Piece, loop: asyncio.AbstractEventLoop) -> None:
        piece.link = connections[DEFAULT_DB_ALIAS]
        try:
            outcome = partial(piece.succeed, piece.work())
        except BaseException as error:
            self._has_failed = self._has_failed or isinstance(error, OperationalError | InterfaceError)
            outcome = partial(piece.fail, error)
        loop.call_soon_threadsafe(self._end, piece, outcome)

    def _end(self, piece: _Piece, outcome: Callable[[], None]) -> None:
        self._under_way.discard(piece)
        outcome()
        self._start()


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
