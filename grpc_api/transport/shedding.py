"""Load shedding: refusing calls in words and in time, before the memory that they would take is gone."""

import asyncio
import logging
from collections import deque

from grpc_api.transport.rationed import RationedLog
from rainbow.errors import Untouched

# When a client that was refused may try again; gRPC's own retries heed it (gRPC proposal A6).
PUSHBACK_METADATA_KEY = "grpc-retry-pushback-ms"
PUSHBACK_MS = 1_000
_MIB = 1024 * 1024


class Overloaded(Untouched):
    """The server has as much to do as it takes."""


class Budget:
    """Bytes of requests that may be held at a time. Calls wait for theirs in turn, up to so many bytes more."""

    def __init__(self, size: int, *, waiting: int) -> None:
        self._free = size
        self._may_wait = waiting
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Raises Overloaded when too many wait already."""
        if not self._queue and size <= self._free:
            self._free -= size
            return
        if size > self._may_wait:
            raise Overloaded("the server holds as many large requests as it can; try again later")
        await self._turn_of(size)

    def give_back(self, size: int) -> None:
        self._free += size
        self._serve()

    async def _turn_of(self, size: int) -> None:
        entry = (size, asyncio.get_running_loop().create_future())
        self._queue.append(entry)
        self._may_wait -= size
        try:
            await entry[1]
        except asyncio.CancelledError:
            if entry in self._queue:
                self._queue.remove(entry)
                self._may_wait += size
                self._serve()
            elif not entry[1].cancelled():
                self.give_back(size)
            raise

    def _serve(self) -> None:
        while self._queue and self._queue[0][0] <= self._free:
            size, turn = self._queue.popleft()
            self._may_wait += size
            if not turn.cancelled():
                self._free -= size
                turn.set_result(None)


class Load:
    """What the server has to do now. All of it runs on the event loop.

    Strangers are calls whose credential has not been looked at: what they hold keeps nobody else's requests out.
    """

    def __init__(self, *, most_calls: int) -> None:
        self.calls = 0
        self.strangers = Budget(32 * _MIB, waiting=64 * _MIB)
        self.known = Budget(64 * _MIB, waiting=64 * _MIB)
        self._most_calls = most_calls
        self._log = RationedLog(logging.getLogger("rainbow.grpc"), most=1)

    def call(self) -> "Share":
        """Counts a call until its end, however long it waits. Raises Overloaded when there are too many."""
        if self.calls >= self._most_calls:
            raise Overloaded(f"the server has {self.calls:,} calls to answer; try again later")
        return Share(self)

    def note_refusal(self, error: Overloaded) -> None:
        """Writes a line of log for many: under load, a line for each would be load."""
        self._log.warning("overloaded, refusing calls: %s calls=%d", error, self.calls)


class Share:
    """A call's part of the load: itself, and the bytes that it holds."""

    __slots__ = ("_budget", "_load", "_size")

    def __init__(self, load: Load) -> None:
        self._load = load
        self._budget: Budget | None = None
        self._size = 0

    def __enter__(self) -> "Share":
        self._load.calls += 1
        return self

    def __exit__(self, *failure: object) -> None:
        self._load.calls -= 1
        self.let_go()

    async def hold_as_stranger(self, size: int) -> None:
        """Holds so many bytes in place of those of before. Raises Overloaded."""
        await self._hold(self._load.strangers, size)

    async def hold_as_known(self, size: int) -> None:
        """The same once the caller's credential was found good."""
        await self._hold(self._load.known, size)

    def let_go(self) -> None:
        if self._budget is not None:
            self._budget.give_back(self._size)
            self._budget = None

    async def _hold(self, budget: Budget, size: int) -> None:
        self.let_go()
        await budget.take(size)
        self._budget, self._size = budget, size
