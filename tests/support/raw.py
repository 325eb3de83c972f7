"""A connection to a server on which every byte is the test's own."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import frames
from benchmarks.frames import Kind
from tests.support.patience import PATIENCE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes


class RawConnection:
    def __init__(self, link: socket.socket, authority: str) -> None:
        self._link = link
        self._authority = authority
        self._received = b""
        self.send(frames.PREFACE, frames.settings({}))

    def send(self, *parts: bytes) -> None:
        self._link.sendall(b"".join(parts))

    def begin(self, stream: int, path: str | bytes, **further: str | bytes) -> None:
        block = frames.headers(self._authority, path, _names(further))
        self.send(frames.frame(Kind.HEADERS, frames.END_HEADERS, stream, block))

    def call(self, stream: int, path: str | bytes, content: bytes, **further: str | bytes) -> None:
        self.begin(stream, path, **further)
        self.send(frames.data(stream, content))

    def end_of(self, stream: int) -> Frame:
        """The frame with which the server ends a call: trailers, or a reset."""
        for frame in self.frames():
            if frame.stream == stream and (frame.kind == Kind.RST_STREAM or frame.flags & frames.END_STREAM):
                return frame
        raise AssertionError("the server hung up")

    def frames(self) -> Iterator[Frame]:
        while True:
            while len(self._received) < frames.HEAD.size or len(self._received) < frames.HEAD.size + self._length():
                if not (some := self._link.recv(65_536)):
                    return
                self._received += some
            _, _, kind, flags, stream = frames.HEAD.unpack_from(self._received)
            end = frames.HEAD.size + self._length()
            yield Frame(kind=kind, flags=flags, stream=stream, payload=self._received[frames.HEAD.size : end])
            self._received = self._received[end:]

    def _length(self) -> int:
        high, low, *_ = frames.HEAD.unpack_from(self._received)
        return int(high << 16 | low)


@contextmanager
def raw_connection(address: str) -> Iterator[RawConnection]:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as link:
        yield RawConnection(link, address)


def _names(headers: dict[str, str | bytes]) -> dict[str, str | bytes]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
