"""One message to one receiver, signed as https://github.com/standard-webhooks/standard-webhooks describes it.

A URL is somebody else's choice: the server connects to no address inside its own network, follows no redirect, reads
next to nothing of the answer, and gives up after a bounded time.
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
import threading
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from clusters.visible import visible

SECONDS = 15.0
_CONNECT_SECONDS = 5.0
# The only addresses that are assigned to be reached from everywhere (RFC 4291, section 2.4). To Python further ones are
# global, such as site-local ones and IPv4 addresses written as IPv6.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Addresses that lead to others: IPv4 behind NAT64 and 6to4.
_TRANSLATED = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16")))
_PORTS = {"https": 443, "http": 80}


class NotDelivered(Exception):
    """Why; `gone`: the receiver wants no more."""

    def __init__(self, why: str, *, gone: bool = False) -> None:
        super().__init__(why)
        self.gone = gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """`private`: also to addresses of this machine and of private networks."""

    private: bool = False
    seconds: float = SECONDS

    def send(self, *, url: str, secret: str, uid: str, timestamp: int, body: str) -> None:
        """Returns once the receiver answered with success (2xx). Raises NotDelivered."""
        content = body.encode()
        headers = {
            "content-type": "application/json",
            "user-agent": "rainbow",
            "webhook-id": uid,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(secret, uid=uid, timestamp=timestamp, content=content),
        }
        try:
            status = self._post(urlsplit(url), content, headers)
        except NotDelivered:
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            # With words of the receiver's, which may be what PostgreSQL refuses as a text.
            raise NotDelivered(visible(f"no answer: {type(error).__name__}: {error}")[:500]) from error
        if not 200 <= status < 300:
            raise NotDelivered(f"answered {status}", gone=status == http.client.GONE)

    def _post(self, url: SplitResult, content: bytes, headers: dict[str, str]) -> int:
        host, port = url.hostname or "", url.port or _PORTS[url.scheme]
        stream = self._connected(host, port)
        if url.scheme == "https":
            stream = ssl.create_default_context().wrap_socket(
                stream, server_hostname=host, do_handshake_on_connect=False
            )
        # Whatever the receiver does, also if it sends a byte now and then, the call ends.
        is_over = threading.Event()
        deadline = threading.Timer(self.seconds, _cut, [stream, is_over])
        deadline.daemon = True
        deadline.start()
        try:
            if isinstance(stream, ssl.SSLSocket):
                stream.do_handshake()
            speaker = http.client.HTTPConnection(host, port)
            speaker.sock = stream
            speaker.request("POST", f"{url.path or '/'}{'?' if url.query else ''}{url.query}", content, headers)
            status = speaker.getresponse().status
            if is_over.is_set():  # it reads as an answer whose headers ended there
                raise NotDelivered("no answer in time")
            return status
        finally:
            deadline.cancel()
            stream.close()

    def _connected(self, host: str, port: int) -> socket.socket:
        """To an address that was looked at, not to what the name leads to a moment later."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        allowed = [one for one in found if self.private or is_public(str(one[4][0]))]
        if not allowed:
            raise NotDelivered("its host leads to no public address, and no others are allowed")
        error: OSError | None = None
        for family, kind, protocol, _, address in allowed[:4]:
            connection = socket.socket(family, kind, protocol)
            connection.settimeout(_CONNECT_SECONDS)
            try:
                connection.connect(address)
            except OSError as failed:
                connection.close()
                error = failed
            else:
                connection.settimeout(self.seconds)
                return connection
        raise error or OSError("no address")


def signature(secret: str, *, uid: str, timestamp: int, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{uid}.{timestamp}.".encode() + content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if ip not in _GLOBAL_UNICAST or any(ip in network for network in _TRANSLATED):
            return False
    return ip.is_global and not ip.is_multicast


def _cut(stream: socket.socket, is_over: threading.Event) -> None:
    is_over.set()
    with contextlib.suppress(OSError):
        socket.socket.shutdown(stream, socket.SHUT_RDWR)
