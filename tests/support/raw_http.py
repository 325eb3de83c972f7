"""Connections to a web server on which every byte is the test's own."""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from http.client import HTTPResponse
from urllib.parse import urlsplit

from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer
from tests.support.web import Reply

HALF_HEAD = b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nX-"
HALF_BODY = (
    b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{"
)
HALF_HANDSHAKE = bytes.fromhex("160301 0200 01")
# The largest file that needs no account.
LARGE = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"


def connect(server: RainbowServer, *, window: int = 0) -> socket.socket:
    """Connect without TLS. `window` is about how many bytes the client accepts before the server has to wait."""
    place = urlsplit(server.web)
    link = socket.socket()
    link.settimeout(PATIENCE_SECONDS)
    if window:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    link.connect((place.hostname, place.port))
    return link


def encrypted(server: RainbowServer) -> socket.socket:
    context = ssl.create_default_context(cafile=server.ca_file)
    return context.wrap_socket(connect(server), server_hostname="localhost")


def request(path: str = "/healthz", *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def exchange(server: RainbowServer, sent: bytes) -> list[Reply]:
    """Send these bytes and shut down; returns the answer up to the server's hang-up."""
    with connect(server) as link:
        link.sendall(sent)
        link.shutdown(socket.SHUT_WR)
        return list(replies(link))


def replies(link: socket.socket) -> Iterator[Reply]:
    stream = link.makefile("rb")
    while stream.peek(1):
        answer = HTTPResponse(_Stream(stream))  # type: ignore[arg-type]
        answer.begin()
        names = {name.lower(): value for name, value in answer.getheaders()}
        yield Reply(status=answer.status, headers=names, body=answer.read())


def is_open(link: socket.socket) -> bool:
    return not select.select([link], [], [], 0)[0]


def wait_until_closed(link: socket.socket) -> bytes:
    said = b""
    with contextlib.suppress(ConnectionResetError, ssl.SSLError):
        while some := link.recv(65_536):
            said += some
    return said


def drip(link: socket.socket, stop: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while not stop.wait(0.2):
            link.sendall(b"x")


class _Stream:
    """HTTPResponse closes the file that it reads; here more answers follow."""

    def __init__(self, stream: object) -> None:
        self._stream = stream

    def makefile(self, mode: str) -> "_Stream":
        return self

    def close(self) -> None:
        pass

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
