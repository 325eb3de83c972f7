"""A connection to a server whose every frame the attacker makes, and that minds the server's flow control."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from benchmarks import frames
from benchmarks.frames import Kind, Setting

_MAX_FRAME = 16 * 1024


class Link(asyncio.Protocol):
    """`closed` is set once either side has hung up. Of answers only the end is read."""

    def __init__(self, authority: str, greeting: bytes) -> None:
        self.closed = asyncio.Event()
        self._authority = authority
        self._greeting = greeting
        self._received = bytearray()
        self._ends: dict[int, asyncio.Future[None]] = {}
        self._windows: dict[int, int] = {0: frames.FIRST_WINDOW}
        self._first_window = frames.FIRST_WINDOW
        self._may_send = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._next_stream = 1

    async def write(self, *parts: bytes) -> None:
        """Wait for the server's window. Raises ConnectionError when it has hung up."""
        await self._writable.wait()
        if self.closed.is_set():
            raise ConnectionError
        self._transport.write(b"".join(parts))

    async def begin(self, path: str, *, bearer: str = "") -> int:
        further = {"authorization": f"Bearer {bearer}"} if bearer else {}
        return await self.begin_with(frames.headers(self._authority, path, {**further, "grpc-encoding": "gzip"}))

    async def begin_with(self, block: bytes) -> int:
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        self._windows[stream] = self._first_window
        self._ends[stream] = asyncio.get_running_loop().create_future()
        await self.write(frames.frame(Kind.HEADERS, frames.END_HEADERS, stream, block))
        return stream

    async def send(self, stream: int, content: bytes, *, last: bool) -> None:
        while content and not self._ends[stream].done():
            size = min(len(content), _MAX_FRAME, self._windows[stream], self._windows[0])
            if size <= 0:
                self._may_send.clear()
                await self._may_send.wait()
                if self.closed.is_set():
                    raise ConnectionError
                continue
            part, content = content[:size], content[size:]
            self._windows[stream] -= size
            self._windows[0] -= size
            end = frames.END_STREAM if last and not content else 0
            await self.write(frames.frame(Kind.DATA, end, stream, part))

    async def end_of(self, stream: int) -> None:
        """Return when the server has ended the call. Raises ConnectionError when it has hung up."""
        await self._ends[stream]
        self.forget(stream)

    def forget(self, stream: int) -> None:
        del self._ends[stream], self._windows[stream]

    async def call(self, path: str, content: bytes, *, bearer: str = "") -> None:
        stream = await self.begin(path, bearer=bearer)
        await self.send(stream, content, last=True)
        await self.end_of(stream)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._greeting)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()
        self._may_send.set()
        self._writable.set()
        for end in self._ends.values():
            if not end.done():
                end.set_exception(ConnectionError())
                # The caller may have given up.
                end.exception()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        received, start = self._received, 0
        received += data
        while len(received) >= start + frames.HEAD.size:
            high, low, kind, flags, stream = frames.HEAD.unpack_from(received, start)
            end = start + frames.HEAD.size + (high << 16 | low)
            if len(received) < end:
                break
            self._take(kind, flags, stream & frames.STREAM_BITS, bytes(received[start + frames.HEAD.size : end]))
            start = end
        del received[:start]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == Kind.WINDOW_UPDATE and stream in self._windows:
            self._windows[stream] += int.from_bytes(payload, "big")
            self._may_send.set()
        elif kind == Kind.SETTINGS and not flags & frames.ACK:
            self._widen(frames.settings_in(payload).get(Setting.INITIAL_WINDOW_SIZE, self._first_window))
            self._transport.write(frames.frame(Kind.SETTINGS, frames.ACK, 0))
        elif kind == Kind.PING and not flags & frames.ACK:
            self._transport.write(frames.frame(Kind.PING, frames.ACK, 0, payload))
        elif (kind in (Kind.DATA, Kind.HEADERS) and flags & frames.END_STREAM) or kind == Kind.RST_STREAM:
            self._end(stream)

    def _end(self, stream: int) -> None:
        if stream in self._ends and not self._ends[stream].done():
            self._ends[stream].set_result(None)
            self._may_send.set()

    def _widen(self, first_window: int) -> None:
        for stream in self._windows:
            self._windows[stream] += (first_window - self._first_window) if stream else 0
        self._first_window = first_window
        self._may_send.set()

    def close(self) -> None:
        self._transport.abort()


@asynccontextmanager
async def linked(address: str, *, window: int = 1 << 30) -> AsyncIterator[Link]:
    """A new connection. `window` is the flow-control window of each call, and of the connection."""
    host, _, port = address.rpartition(":")
    whole = frames.window_update(window - frames.FIRST_WINDOW) if window > frames.FIRST_WINDOW else b""
    greeting = frames.PREFACE + frames.settings({Setting.INITIAL_WINDOW_SIZE: window}) + whole
    loop = asyncio.get_running_loop()
    _, link = await loop.create_connection(lambda: Link(address, greeting), host.strip("[]"), int(port))
    try:
        yield link
    finally:
        link.close()
