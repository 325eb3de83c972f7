"""Why no connection to a server can be made. Of a name with several addresses, gRPC reports only the last."""

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing

from rainbow.address import is_loopback, place
from rainbow.config import environment
from rainbow.errors import why
from rainbow.tls import Tls

# What OpenSSL and gRPC say of a connection, and what it means.
NOT_TRUSTED = re.compile(r"CERTIFICATE_VERIFY_FAILED: (?P<why>[^:]+)")
WEB_PORT = "that is an HTTP port, as of the web pages and of REST; gRPC has another, usually 50051"
MEANINGS = {
    # 80 is the P of "HTTP/1.1", in the place where a frame has its type.
    "SETTINGS frame as the first frame, got frame type 80": WEB_PORT,
    "http1.x server": WEB_PORT,
    "missing selected ALPN property": WEB_PORT,
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
    "Hostname Verification Check failed": "its certificate is for another name",
    "Socket closed": "it closed the connection; perhaps it speaks only TLS",
}
NO_CERTIFICATE = "it closed the connection; perhaps it wants a client certificate, or does not trust the one it got"
# What each end of a connection begins with (RFC 9113, section 3.4): the client's here, a frame of settings there.
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
SETTINGS = 4
HTTP_1 = b"HTTP/1"
FRAME_HEAD_BYTES = 9
MOST_ADDRESSES = 4
SECONDS_PER_ADDRESS = 1.0
# A command tries again and again, and an agent for hours.
TRY_EVERY_SECONDS = 10.0
# By https://grpc.github.io/grpc/core/md_doc_environment_variables.html, in this order.
PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
LOOPBACK = ("::1", "127.0.0.1")


def meaning(details: str) -> str:
    """What gRPC's details of a failed connection mean."""
    if refused := NOT_TRUSTED.search(details):
        return f"its certificate is not trusted ({refused['why']})"
    known = (meaning for mark, meaning in MEANINGS.items() if mark in details)
    # The last of several is in brackets, which begin before it.
    return next(known, details.rpartition(": ")[2].removesuffix("]"))


def proxy_before(host: str) -> str:
    """The variable by which gRPC takes the way through a proxy; empty where there is none, as to this machine."""
    known = {} if is_loopback(host) else environment()
    return next((name for name in PROXIES if known.get(name)), "")


class ConnectionDiagnosis:
    """Connects to each address of a server that has several, at most every 10 seconds."""

    def __init__(self, host: str, *, tls: Tls, clock: Callable[[], float] = time.monotonic) -> None:
        self._host = host
        self._tls = tls
        self._clock = clock
        self._tried_at: float | None = None
        self._found = ""

    def reason(self, details: str) -> str:
        """Why each address fails, where the reasons differ; otherwise what gRPC says of one.

        That one address is an HTTP port is said alone: the port is wrong, whatever the others are.
        """
        if proxy := proxy_before(self._host):
            hint = f"{proxy} is set, so that the way may lead through a proxy; no_proxy names hosts that need none"
            return f"{self._meaning(details)}; {hint}"
        if self._tried_at is None or self._clock() - self._tried_at > TRY_EVERY_SECONDS:
            self._found, self._tried_at = self._try_addresses(), self._clock()
        return self._found or self._meaning(details)

    def _meaning(self, details: str) -> str:
        return NO_CERTIFICATE if self._tls and "Socket closed" in details else meaning(details)

    def _try_addresses(self) -> str:
        host, port = place(self._host)
        addresses = list(dict.fromkeys(_addresses(host, port)))
        if len(addresses) == 1:
            return ""
        places = dict[str, list[str]]()
        for address in addresses[:MOST_ADDRESSES]:
            if failure := self._failure(address, port, host):
                places.setdefault(failure, []).append(address)
        if WEB_PORT in places:
            return WEB_PORT
        several = len(places) > 1
        return "; ".join(f"{failure} at {' and '.join(where)}" for failure, where in places.items()) if several else ""

    def _failure(self, address: str, port: int, host: str) -> str:
        """Empty where there is none."""
        try:
            with closing(socket.create_connection((address, port), timeout=SECONDS_PER_ADDRESS)) as link:
                return self._failure_in_tls(link, host) if self._tls else _greeted(link)
        except TimeoutError:
            return "no answer"
        except OSError as error:
            return why(error)

    def _failure_in_tls(self, link: socket.socket, host: str) -> str:
        try:
            secure = self._tls.context().wrap_socket(link, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            return f"its certificate is not trusted ({error.verify_message.rstrip('.')})"
        except ssl.SSLError as error:
            return NO_CERTIFICATE if "ALERT" in error.reason else MEANINGS["WRONG_VERSION_NUMBER"]
        with secure:
            return self._greeted_in_tls(secure)

    def _greeted_in_tls(self, secure: ssl.SSLSocket) -> str:
        """In TLS 1.3 a server refuses the client's certificate when the client already takes the handshake for done."""
        try:
            return NO_CERTIFICATE if (found := _greeted(secure)) == MEANINGS["Socket closed"] else found
        except (ssl.SSLError, ConnectionError):
            return NO_CERTIFICATE


def _addresses(host: str, port: int) -> Iterator[str]:
    # gRPC knows both, whatever the system says.
    if host == "localhost":
        yield from LOOPBACK
    try:
        for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            yield str(address[0])
    except OSError:
        return


def _greeted(link: socket.socket) -> str:
    """Whether the other end speaks HTTP/2, as gRPC does."""
    link.sendall(GREETING)
    head = b""
    while len(head) < FRAME_HEAD_BYTES and (some := link.recv(FRAME_HEAD_BYTES - len(head))):
        head += some
    if not head:
        return MEANINGS["Socket closed"]
    if head.startswith(HTTP_1):
        return WEB_PORT
    return "" if len(head) == FRAME_HEAD_BYTES and head[3] == SETTINGS else "it does not speak gRPC"
