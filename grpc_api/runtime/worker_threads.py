"""Threads that work on the database, and who is next when one is free."""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from grpc_api.runtime.fairness import FairQueue, Usage
from grpc_api.runtime.metrics import QUEUED_WORK, THREADS, THREADS_BUSY
from rainbow.errors import Unavailable, Untouched

T = TypeVar("T")

# What a piece of work is taken to need until it is done.
_USUAL_SECONDS = 0.001
AWAY = "the database does not answer now; try again"
STOPS = "the server stops; try again"


class DatabaseAway(Untouched):
    """The work was refused before it began, since the database does not answer."""


class Stopped(Untouched):
    """The work was refused before it began, since the server stops."""


class WorkItem:
    """Work for a thread. `callers` are those who wait for it, with the time that it is taken to need for each.

    `settle` gets the result, or the failure, on the event loop; more than once where it is given up meanwhile. `link`
    is the connection of the thread that runs it as its `job`.
    """

    __slots__ = ("began_at", "callers", "is_given_up", "job", "lane", "link", "settle", "work")

    def __init__(self, work: Callable[[], Any], *, callers: dict[str, float], settle: Callable[[Any], None]) -> None:
        self.work = work
        self.callers = callers
        self.settle = settle
        self.is_given_up = False
        self.began_at = 0.0
        self.lane: Lane | None = None
        self.job: Future[None] | None = None
        self.link: BaseDatabaseWrapper | None = None


class Lane(Protocol):
    """Work of one kind that waits for a thread, of which so many pieces may be under way at once."""

    at_once: int

    def __len__(self) -> int: ...

    def due(self) -> float | None:
        """When its next work is due; None where none waits."""

    def begin(self) -> WorkItem | None:
        """Takes the next work; None where nobody waits for it any more."""

    def give_up(self, error: Exception) -> None:
        """Fails all that waits."""


# Not frozen: one is made for each call, and that would take three times as long.
@dataclass(slots=True, kw_only=True)
class _Asked:
    caller: str
    work: Callable[[], Any]
    future: asyncio.Future[Any]


class _Single:
    """Work that is done each by itself."""

    def __init__(self, usage: Usage, at_once: int) -> None:
        self.at_once = at_once
        self._waiting = FairQueue[_Asked](usage, is_given_up=lambda asked: asked.future.done())

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, caller: str, work: Callable[[], T]) -> _Asked:
        asked = _Asked(caller=caller, work=work, future=asyncio.get_running_loop().create_future())
        self._waiting.add(caller, asked)
        return asked

    def due(self) -> float | None:
        return self._waiting.due()

    def begin(self) -> WorkItem | None:
        asked = self._waiting.next()
        if asked is None:
            return None
        return WorkItem(asked.work, callers={asked.caller: _USUAL_SECONDS}, settle=partial(settle, asked.future))

    def give_up(self, error: Exception) -> None:
        for asked in self._waiting.take_all():
            settle(asked.future, error)


class WorkerThreads:
    """Threads each with its own connection. All but the work itself runs on the event loop.

    Work of all lanes is begun in the order in which its callers are due, once a thread is free. `run` does it, again
    where that is safe. While the database `is_away`, work is refused.
    """

    def __init__(self, number: int, *, name: str, run: Callable[[Callable[[], Any]], Any]) -> None:
        self.number = number
        self.usage = Usage()
        self.is_away = False
        self._run_safely = run
        self._pool = ThreadPoolExecutor(number, thread_name_prefix=name)
        self._single = _Single(self.usage, at_once=number)
        self._lanes: list[Lane] = [self._single]
        self._under_way: set[WorkItem] = set()
        self._has_failed = False
        self._begins_soon = False
        self._is_closed = False
        THREADS.labels(name).set(number)
        THREADS_BUSY.labels(name).set_function(lambda: len(self._under_way))
        QUEUED_WORK.labels(name).set_function(lambda: sum(map(len, self._lanes)))

    def add_lane(self, lane: Lane) -> None:
        self._lanes.append(lane)

    async def do(self, work: Callable[[], T], *, caller: str = "") -> T:
        self.expect_database()
        asked = self._single.add(caller, work)
        self.begin()
        try:
            result: T = await asked.future
        except asyncio.CancelledError:
            # It may be megabytes, no budget counts them any more, and the turn to drop it may be long in coming.
            del asked.work, asked.caller
            raise
        return result

    def expect_database(self) -> None:
        """Raises DatabaseAway and Stopped."""
        if self._is_closed:
            raise Stopped(STOPS)
        if self.is_away:
            raise DatabaseAway(AWAY)

    def begin_soon(self) -> None:
        """Once what has arrived by now was seen, so that a batch has all of it."""
        if not self._begins_soon and len(self._under_way) < self.number:
            self._begins_soon = True
            asyncio.get_running_loop().call_soon(self.begin)

    def begin(self) -> None:
        """Begins as much as there are free threads for."""
        self._begins_soon = False
        while not self._is_closed and len(self._under_way) < self.number and (lane := self._next_lane()):
            if item := lane.begin():
                item.lane = lane
                item.began_at = time.monotonic()
                for caller, seconds in item.callers.items():
                    self.usage.charge(caller, seconds)
                self._under_way.add(item)
                item.job = self._pool.submit(self._run, item, asyncio.get_running_loop())

    def has_failed_or_is_older_than(self, moment: float) -> bool:
        """Whether the database failed some work since the last call, or work under way is older than `moment`, also of
        callers that wait no longer: their deadlines may be short.
        """
        has_failed, self._has_failed = self._has_failed, False
        return has_failed or any(item.began_at < moment and not item.is_given_up for item in self._under_way)

    def give_up(self, cut: Callable[[BaseDatabaseWrapper], None]) -> int:
        """Fails all work, and frees the threads that are stuck; returns their number."""
        for lane in self._lanes:
            lane.give_up(DatabaseAway(AWAY))
        for item in self._under_way:
            item.is_given_up = True
            item.settle(Unavailable("the database stopped answering; what was asked may have been done"))
            if item.link is not None:
                cut(item.link)
        return len(self._under_way)

    def close(self) -> None:
        """Begins nothing more. What still waits, mostly for calls that were given up, fails."""
        self._is_closed = True
        for lane in self._lanes:
            lane.give_up(Stopped(STOPS))
        self._pool.shutdown(wait=False)

    def have_ended(self, moment: float) -> bool:
        """Waits until then at most for the work under way; blocks."""
        jobs = [item.job for item in self._under_way if item.job]
        return not wait(jobs, timeout=max(0.0, moment - time.monotonic())).not_done

    def _next_lane(self) -> Lane | None:
        next_lane, first = None, math.inf
        for lane in self._lanes:
            moment = lane.due()
            if moment is not None and moment < first and self._under_way_of(lane) < lane.at_once:
                next_lane, first = lane, moment
        return next_lane

    def _under_way_of(self, lane: Lane) -> int:
        return sum(item.lane is lane for item in self._under_way)

    def _run(self, item: WorkItem, loop: asyncio.AbstractEventLoop) -> None:
        item.link = connections[DEFAULT_DB_ALIAS]
        outcome: Any
        try:
            outcome = self._run_safely(item.work)
        except BaseException as error:
            self._has_failed = self._has_failed or isinstance(error, OperationalError | InterfaceError)
            outcome = error
        loop.call_soon_threadsafe(self._end, item, outcome, time.monotonic())

    def _end(self, item: WorkItem, outcome: Any, ended_at: float) -> None:
        self._under_way.discard(item)
        self._charge(item, ended_at - item.began_at)
        try:
            item.settle(outcome)
        finally:
            self.begin()

    def _charge(self, item: WorkItem, seconds: float) -> None:
        """What it took in place of what it was taken to need."""
        estimate = sum(item.callers.values())
        for caller, share in item.callers.items():
            self.usage.charge(caller, share * (seconds / estimate - 1))


def settle(future: "asyncio.Future[Any]", outcome: Any) -> None:
    # Done already where the call was cancelled, or failed since the database is away.
    if future.done():
        return
    if isinstance(outcome, StopIteration):
        # Which no future takes: its caller would wait for ever.
        future.set_exception(RuntimeError("the work ended with StopIteration"))
    elif isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
