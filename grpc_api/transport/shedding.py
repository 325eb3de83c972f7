"""Load shedding: calls are refused with a message and in time, before memory runs out."""

import asyncio
import logging
import time
from collections import deque

from grpc_api.transport.metrics import CALLS_UNDER_WAY, REQUEST_BYTES_HELD
from grpc_api.transport.rate_limited_log import RateLimitedLog
from rainbow.errors import Untouched

# When a client that was refused may try again; gRPC's own retries heed it (gRPC proposal A6).
PUSHBACK_METADATA_KEY = "grpc-retry-pushback-ms"
PUSHBACK_MS = 1_000
# How long a call without a message is left alone at the limit: honest clients send it with the call.
_STRANGER_SECONDS = 5.0
_MIB = 1024 * 1024


class Overloaded(Untouched):
    """The server has as many calls, or bytes of requests, as it takes."""


class Budget:
    """Bytes of requests that may be held at a time. Calls wait in turn for theirs, up to `waiting` bytes."""

    def __init__(self, size: int, *, waiting: int) -> None:
        self._size = self._free = size
        self._may_wait = waiting
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def held(self) -> int:
        return self._size - self._free

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
    """The calls under way and what they hold. Not thread-safe: for the event loop alone.

    Strangers are callers that are not authenticated yet: their requests have a budget of their own, and so cannot
    crowd out the others. Nor can their calls that bring no message: at the limit the oldest ends for each that comes.
    """

    def __init__(self, *, most_calls: int) -> None:
        self.calls = 0
        self.strangers = Budget(32 * _MIB, waiting=64 * _MIB)
        self.known = Budget(64 * _MIB, waiting=64 * _MIB)
        self._most_calls = most_calls
        # Those whose message has not come, the oldest first.
        self.strange: dict[Share, None] = {}
        CALLS_UNDER_WAY.set_function(lambda: self.calls)
        REQUEST_BYTES_HELD.labels("strangers").set_function(lambda: self.strangers.held)
        REQUEST_BYTES_HELD.labels("known").set_function(lambda: self.known.held)
        self._log = RateLimitedLog(logging.getLogger("rainbow.grpc"), most=1)

    def call(self) -> "Share":
        """Counts a call until its end, its waits included. Raises Overloaded when there are too many."""
        if self.calls >= self._most_calls and not self._end_oldest_stranger():
            raise Overloaded(f"the server has {self.calls:,} calls to answer; try again later")
        return Share(self)

    def _end_oldest_stranger(self) -> bool:
        share = next(iter(self.strange), None)
        return share is not None and share.end_if_old()

    def note_refusal(self, error: Overloaded) -> None:
        """One line of log a minute: a line for each refusal would add to the load."""
        self._log.warning(f"overloaded, refusing calls: {error}", calls=self.calls)


class Share:
    """A call's part of the load: itself, and the bytes that it holds."""

    __slots__ = ("_began", "_budget", "_is_ended", "_load", "_size", "_task")

    def __init__(self, load: Load) -> None:
        self._load = load
        self._budget: Budget | None = None
        self._size = 0
        self._task: asyncio.Task[object] | None = None
        self._began = 0.0
        self._is_ended = False

    def __enter__(self) -> "Share":
        self._load.calls += 1
        self._task = asyncio.current_task()
        self.wait_for_message()
        return self

    def __exit__(self, kind: type[BaseException] | None, *failure: object) -> None:
        """Raises Overloaded in place of a cancellation by `end_if_old`."""
        self._load.calls -= 1
        self._load.strange.pop(self, None)
        self.let_go()
        if self._is_ended and kind is asyncio.CancelledError:
            raise Overloaded("the server has other calls to answer than this one, whose message has not come")

    def wait_for_message(self) -> None:
        self._load.strange[self] = None
        self._began = time.monotonic()

    def has_message(self) -> None:
        """From now on the call is not ended for others."""
        self._load.strange.pop(self, None)

    def end_if_old(self) -> bool:
        """Ends the call, whose task waits for its message."""
        if self._task is None or time.monotonic() - self._began < _STRANGER_SECONDS:
            return False
        del self._load.strange[self]
        self._is_ended = True
        return self._task.cancel()

    async def hold_as_stranger(self, size: int) -> None:
        """Holds so many bytes in place of those of before. Raises Overloaded."""
        await self._hold(self._load.strangers, size)

    async def hold_as_known(self, size: int) -> None:
        await self._hold(self._load.known, size)

    def let_go(self) -> None:
        if self._budget is not None:
            self._budget.give_back(self._size)
            self._budget = None

    async def _hold(self, budget: Budget, size: int) -> None:
        self.let_go()
        await budget.take(size)
        self._budget, self._size = budget, size
