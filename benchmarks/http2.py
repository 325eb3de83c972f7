"""A minimal gRPC client, whose own cost does not limit the measurement.

It speaks as much of HTTP/2 (RFC 9113) as small unary calls need, with the same headers for every call of a
connection. It never decodes the server's headers: a call has succeeded when a message came before its end.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

from benchmarks import frames
from benchmarks.frames import Kind

# Gets the reply's message; None when the call failed.
Answered = Callable[[bytes | None], None]

# What the server may send without being told to go on: much more than it will.
_WINDOW = 1 << 30


async def connect(address: str, method: str, metadata: Mapping[str, str] | None = None) -> "Connection":
    """A connection for calls of one method, such as /package.Service/Method, which all have the same metadata."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    headers = frames.headers(address, method, metadata)
    _, connection = await loop.create_connection(lambda: Connection(headers), host.strip("[]"), int(port))
    return connection


class Connection(asyncio.Protocol):
    """Unary calls of one method. `closed` is true once the server or this side has hung up."""

    def __init__(self, headers: bytes) -> None:
        self.closed = False
        self._headers = headers
        self._received = bytearray()
        self._under_way: dict[int, tuple[bytearray, Answered]] = {}
        self._held: deque[tuple[bytes, Answered]] = deque()
        self._next_stream = 1
        self._may_send = frames.FIRST_WINDOW
        self._to_confirm = 0

    def call(self, message: bytes, answered: Answered) -> None:
        """Sends a message of at most 65,530 bytes; calls `answered` later, once."""
        data = frames.message(message)
        if len(data) > frames.FIRST_WINDOW:
            raise ValueError(f"a message of {len(message):,} bytes is too long for here")
        self._held.append((data, answered))
        self._send_held()

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        settings = frames.settings({frames.Setting.INITIAL_WINDOW_SIZE: _WINDOW})
        self._transport.write(frames.PREFACE + settings + frames.window_update(_WINDOW))

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        waiting = [answered for _, answered in (*self._under_way.values(), *self._held)]
        self._under_way.clear()
        self._held.clear()
        for answered in waiting:
            answered(None)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        start = 0
        while len(received) >= start + frames.HEAD.size:
            high, low, kind, flags, stream = frames.HEAD.unpack_from(received, start)
            end = start + frames.HEAD.size + (high << 16 | low)
            if len(received) < end:
                break
            self._take(kind, flags, stream & frames.STREAM_BITS, received[start + frames.HEAD.size : end])
            start = end
        del received[:start]

    def _take(self, kind: int, flags: int, stream: int, payload: bytearray) -> None:
        """Kinds that are not named here carry nothing that a call's outcome depends on."""
        if kind == Kind.DATA:
            self._take_data(stream, payload)
        if (kind in (Kind.DATA, Kind.HEADERS) and flags & frames.END_STREAM) or kind == Kind.RST_STREAM:
            self._end(stream)
        elif kind == Kind.WINDOW_UPDATE and stream == 0:
            self._may_send += int.from_bytes(payload, "big")
            self._send_held()
        elif kind in (Kind.SETTINGS, Kind.PING) and not flags & frames.ACK:
            self._transport.write(frames.frame(kind, frames.ACK, 0, b"" if kind == Kind.SETTINGS else payload))
        elif kind == Kind.GOAWAY:
            self._transport.close()

    def _take_data(self, stream: int, payload: bytearray) -> None:
        if stream in self._under_way:
            self._under_way[stream][0].extend(payload)
        self._to_confirm += len(payload)
        if self._to_confirm > _WINDOW // 2:
            self._transport.write(frames.window_update(self._to_confirm))
            self._to_confirm = 0

    def _end(self, stream: int) -> None:
        if stream in self._under_way:
            data, answered = self._under_way.pop(stream)
            answered(bytes(data[frames.PREFIX.size :]) if data else None)

    def _send_held(self) -> None:
        while self._held and len(self._held[0][0]) <= self._may_send:
            data, answered = self._held.popleft()
            stream, self._next_stream = self._next_stream, self._next_stream + 2
            self._may_send -= len(data)
            self._under_way[stream] = (bytearray(), answered)
            self._transport.write(
                frames.frame(Kind.HEADERS, frames.END_HEADERS, stream, self._headers) + frames.data(stream, data)
            )
