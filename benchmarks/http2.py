"""A gRPC client that costs next to nothing, so that the server is what the benchmarks measure.

It speaks as much of HTTP/2 (RFC 9113) as small unary calls need, with the same headers for every call of a
connection. It never decodes the server's headers: a call has succeeded when a message came before its end.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import cast

# Gets the reply's message; None when the call failed.
Answered = Callable[[bytes | None], None]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME = struct.Struct(">BHBBL")  # the length in three bytes, type, flags, stream
_PREFIX = struct.Struct(">BL")  # of a gRPC message: not compressed, its length
_SETTING = struct.Struct(">HL")
_INITIAL_WINDOW_SIZE = 4
_ACK, _END_STREAM, _END_HEADERS = 1, 1, 4
_STREAM_BITS = 0x7FFF_FFFF
# What the server may send without being told to go on: much more than it will.
_WINDOW = 1 << 30
_MAX_FRAME = 16 * 1024
# What a server takes of one call without saying more.
_MAX_CALL = 65_535
# How long a server may take for a call.
_DEADLINE = b"60S"


class _Kind(IntEnum):
    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8


async def connect(address: str, method: str, *, bearer: str = "") -> "Connection":
    """A connection for calls of one method, such as /package.Service/Method, with one credential or none."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    headers = _headers(address, method, bearer)
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
        self._may_send = _MAX_CALL
        self._to_confirm = 0

    def call(self, message: bytes, answered: Answered) -> None:
        """Sends a message of at most 65,530 bytes; calls `answered` later, once."""
        data = _PREFIX.pack(0, len(message)) + message
        if len(data) > _MAX_CALL:
            raise ValueError(f"a message of {len(message):,} bytes is too long for here")
        self._held.append((data, answered))
        self._send_held()

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        settings = _frame(_Kind.SETTINGS, 0, 0, _SETTING.pack(_INITIAL_WINDOW_SIZE, _WINDOW))
        self._transport.write(_PREFACE + settings + _window_update(_WINDOW))

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
        while len(received) >= start + _FRAME.size:
            high, low, kind, flags, stream = _FRAME.unpack_from(received, start)
            end = start + _FRAME.size + (high << 16 | low)
            if len(received) < end:
                break
            self._take(kind, flags, stream & _STREAM_BITS, received[start + _FRAME.size : end])
            start = end
        del received[:start]

    def _take(self, kind: int, flags: int, stream: int, payload: bytearray) -> None:
        """Kinds that are not named here carry nothing that a call's outcome depends on."""
        if kind == _Kind.DATA:
            self._take_data(stream, payload)
        if (kind in (_Kind.DATA, _Kind.HEADERS) and flags & _END_STREAM) or kind == _Kind.RST_STREAM:
            self._end(stream)
        elif kind == _Kind.WINDOW_UPDATE and stream == 0:
            self._may_send += int.from_bytes(payload, "big")
            self._send_held()
        elif kind in (_Kind.SETTINGS, _Kind.PING) and not flags & _ACK:
            self._transport.write(_frame(kind, _ACK, 0, b"" if kind == _Kind.SETTINGS else payload))
        elif kind == _Kind.GOAWAY:
            self._transport.close()

    def _take_data(self, stream: int, payload: bytearray) -> None:
        if stream in self._under_way:
            self._under_way[stream][0].extend(payload)
        self._to_confirm += len(payload)
        if self._to_confirm > _WINDOW // 2:
            self._transport.write(_window_update(self._to_confirm))
            self._to_confirm = 0

    def _end(self, stream: int) -> None:
        if stream in self._under_way:
            data, answered = self._under_way.pop(stream)
            answered(bytes(data[_PREFIX.size :]) if data else None)

    def _send_held(self) -> None:
        while self._held and len(self._held[0][0]) <= self._may_send:
            data, answered = self._held.popleft()
            stream, self._next_stream = self._next_stream, self._next_stream + 2
            self._may_send -= len(data)
            self._under_way[stream] = (bytearray(), answered)
            self._transport.write(_frame(_Kind.HEADERS, _END_HEADERS, stream, self._headers) + _data(stream, data))


def _headers(address: str, method: str, bearer: str) -> bytes:
    """The headers of a gRPC call, literally: RFC 7541, sections 6.1 and 6.2.2, and appendix A for the indices."""
    post, http = b"\x83", b"\x86"
    path, authority, content_type = b"\x04", b"\x01", b"\x0f\x10"
    authorization = b"\x0f\x08" + _text(f"Bearer {bearer}".encode()) if bearer else b""
    return b"".join(
        [
            post + http,
            path + _text(method.encode()),
            authority + _text(address.encode()),
            content_type + _text(b"application/grpc"),
            b"\0" + _text(b"te") + _text(b"trailers"),
            b"\0" + _text(b"grpc-timeout") + _text(_DEADLINE),
            authorization,
        ]
    )


def _text(value: bytes) -> bytes:
    if len(value) >= 127:
        raise ValueError(f"too long for a header here: {value!r}")
    return bytes([len(value)]) + value


def _data(stream: int, data: bytes) -> bytes:
    parts = [data[start : start + _MAX_FRAME] for start in range(0, len(data), _MAX_FRAME)]
    frames = [_frame(_Kind.DATA, 0, stream, part) for part in parts[:-1]]
    return b"".join([*frames, _frame(_Kind.DATA, _END_STREAM, stream, parts[-1])])


def _frame(kind: int, flags: int, stream: int, payload: bytes | bytearray) -> bytes:
    return _FRAME.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _window_update(size: int) -> bytes:
    return _frame(_Kind.WINDOW_UPDATE, 0, 0, size.to_bytes(4, "big"))
