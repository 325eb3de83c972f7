"""A server of HTTP/2 on which every byte of an answer is the test's own."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks import frames
from benchmarks.frames import ACK, END_HEADERS, END_STREAM, HEAD, Kind
from tests.support.listener import Listener

# What is sent when a call has come, by the number of its stream; None sends nothing.
Answer = Callable[[int], bytes | None]


class RawServer:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = Listener(self._serve)
        self.address = self._listener.address
        self.calls = 0

    def close(self) -> None:
        self._listener.close()

    def _serve(self, link: socket.socket, number: int) -> None:
        with link.makefile("rb") as source:
            link.sendall(frames.settings({}))
            source.read(len(frames.PREFACE))
            while head := source.read(HEAD.size):
                high, low, kind, flags, stream = HEAD.unpack(head)
                payload = source.read(high << 16 | low)
                if reply := self._reply(kind, flags, stream, payload):
                    link.sendall(reply)

    def _reply(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes | None:
        if kind in (Kind.SETTINGS, Kind.PING) and not flags & ACK:
            return frames.frame(kind, ACK, 0, payload if kind == Kind.PING else b"")
        if kind != Kind.HEADERS:
            return None
        self.calls += 1
        return self._answer(stream)


@contextmanager
def raw_server(answer: Answer) -> Iterator[RawServer]:
    server = RawServer(answer)
    yield server
    server.close()


def headers(stream: int, *, end: bool = False, status: str = "200", **further: str) -> bytes:
    fields = {":status": status, "content-type": "application/grpc", **further}
    block = b"".join(frames.header(name.replace("_", "-"), value) for name, value in fields.items())
    return frames.frame(Kind.HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block)


def trailers(stream: int, status: str = "0", **further: str) -> bytes:
    fields = {"grpc-status": status, **further}
    block = b"".join(frames.header(name.replace("_", "-"), value) for name, value in fields.items())
    return frames.frame(Kind.HEADERS, END_HEADERS | END_STREAM, stream, block)


def message(stream: int, content: bytes, *, compressed: bool = False) -> bytes:
    """In one frame, so that it may have 16 KiB at most."""
    return frames.frame(Kind.DATA, 0, stream, frames.message(content, compressed=compressed))


def reset(stream: int, code: int) -> bytes:
    return frames.frame(Kind.RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def goaway(code: int, *, last: int = 0) -> bytes:
    return frames.frame(Kind.GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big"))
