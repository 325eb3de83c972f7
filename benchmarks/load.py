"""Load for a server: a fixed number of calls in flight, each followed by the next as soon as it is answered."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks import http1, http2

Connection = http1.Connection | http2.Connection

# Callers are many; so are their connections, up to this number, unless a case says otherwise.
MAX_CONNECTIONS = 8
# The deadline of the last calls.
PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """`seconds` lasts until the last answer; the latencies are those of the good calls."""

    seconds: float
    latencies: list[float]
    failed: int


@asynccontextmanager
async def connected(
    address: str,
    method: str,
    *,
    in_flight: int,
    most: int = MAX_CONNECTIONS,
    metadata: Mapping[str, str] | None = None,
) -> AsyncIterator[list[Connection]]:
    """Over gRPC for a gRPC method, otherwise over HTTP/1.1 with one connection for each call in flight."""
    connections: list[Connection]
    if method == http1.WHOLE_REQUESTS:
        connections = [await http1.connect(address) for _ in range(in_flight)]
    else:
        connections = [await http2.connect(address, method, metadata) for _ in range(min(in_flight, most))]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


async def run_load(
    connections: Sequence[Connection],
    messages: Iterator[bytes],
    is_right: Callable[[bytes], bool],
    *,
    in_flight: int,
    seconds: float,
) -> Load:
    """Makes calls for so many seconds, or until the messages run out, and waits for the last answers.

    Raises TimeoutError when an answer does not come.
    """
    callers = _Callers(messages, is_right, seconds)
    async with asyncio.timeout(seconds + PATIENCE_SECONDS):
        return await callers.run([connections[place % len(connections)] for place in range(in_flight)])


class _Callers:
    def __init__(self, messages: Iterator[bytes], is_right: Callable[[bytes], bool], seconds: float) -> None:
        self._messages = messages
        self._is_right = is_right
        self._seconds = seconds
        self._latencies: list[float] = []
        self._failed = 0
        self._callers = 0

    async def run(self, connections: list[Connection]) -> Load:
        """One caller for each of these connections, which may repeat."""
        self._done = asyncio.Event()
        began = time.perf_counter()
        self._until = began + self._seconds
        self._callers = len(connections)
        for connection in connections:
            self._call(connection)
        await self._done.wait()
        return Load(seconds=time.perf_counter() - began, latencies=self._latencies, failed=self._failed)

    def _call(self, connection: Connection) -> None:
        began = time.perf_counter()
        message = next(self._messages, None) if began < self._until and not connection.closed else None
        if message is None:
            self._go_home()
            return

        def answered(reply: bytes | None) -> None:
            if reply is not None and self._is_right(reply):
                self._latencies.append(time.perf_counter() - began)
            else:
                self._failed += 1
            self._call(connection)

        connection.call(message, answered)

    def _go_home(self) -> None:
        self._callers -= 1
        if not self._callers:
            self._done.set()
