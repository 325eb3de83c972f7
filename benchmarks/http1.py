"""A minimal HTTP/1.1 client: a message is a whole request, an answer the body of a 2xx, or nothing where it is 304.

It reads what the web server writes for Django: answers with a Content-Length, on a connection that stays open.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

Answered = Callable[[bytes | None], None]

# In place of a gRPC method.
WHOLE_REQUESTS = "HTTP/1.1"
_END_OF_HEADERS = b"\r\n\r\n"
_NOT_MODIFIED = b"304"
_LENGTH = b"\r\ncontent-length: "


async def connect(address: str) -> "Connection":
    host, _, port = address.rpartition(":")
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host.strip("[]"), int(port))
    return connection


class Connection(asyncio.Protocol):
    """One request at a time, the others queue. `closed` is true once either side has hung up."""

    def __init__(self) -> None:
        self.closed = False
        self._received = bytearray()
        self._waiting: deque[tuple[bytes, Answered]] = deque()
        self._answered: Answered | None = None

    def call(self, message: bytes, answered: Answered) -> None:
        """Sends a request; calls `answered` later, once, with None when it failed."""
        self._waiting.append((message, answered))
        self._send_next()

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        left = [answered for _, answered in self._waiting]
        self._waiting.clear()
        for answered in [*([self._answered] if self._answered else []), *left]:
            answered(None)
        self._answered = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(_END_OF_HEADERS)
        if end and len(body) >= (length := _length_in(head)):
            code = head.split(b" ", 2)[1]
            good = code.startswith(b"2") or code == _NOT_MODIFIED
            self._received = body[length:]
            answered, self._answered = self._answered, None
            if answered:
                answered(bytes(body[:length]) if good else None)
            self._send_next()

    def _send_next(self) -> None:
        if self._waiting and not self._answered and not self.closed:
            message, self._answered = self._waiting.popleft()
            self._transport.write(message)


def _length_in(head: bytearray) -> int:
    _, _, rest = head.lower().partition(_LENGTH)
    return int(rest.split(b"\r\n", 1)[0] or 0)
