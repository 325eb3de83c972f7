"""Fetches inputs of jobs by URL, from where the site's policy allows that and from nowhere else.

The submitter chooses the URL, and whoever answers it chooses where it redirects to: neither may reach what only this
machine can. So each address is checked once its name is resolved, and that very address is connected to.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import SplitResult, urljoin, urlsplit

from rainbow.text import on_one_line

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_PORTS = {"https": 443, "http": 80}
MOST_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What a server may say later.
PASSING = frozenset({408, 425, 429, *range(500, 600)})
PART_BYTES = 1024 * 1024
CONNECT_SECONDS, SILENCE_SECONDS, LONGEST_SECONDS = 20.0, 60.0, 3600.0
# Translations of IPv4 addresses, which lead to those (RFC 6052).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


class SourceRefused(Exception):
    """The file is never to be had there; the text says why, for the job's submitter."""


class SourceAway(Exception):
    """The file is not to be had there now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSources:
    """`hosts` are patterns of host names, such as `*.example.org`, with `:PORT` for another than the usual one, and
    with `http://` before those that may be read in clear text. Addresses that are not public are reached only within
    `networks`. None is allowed by default.
    """

    hosts: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    most_bytes: int = 0

    def refusal(self, url: str) -> str:
        """Why nothing is fetched from there; empty where it may be."""
        try:
            place = _place_of(urlsplit(url))
        except ValueError:
            return f"{on_one_line(url, longest=200)} is no URL that can be fetched"
        if any(_allows(pattern, *place) for pattern in self.hosts):
            return ""
        scheme, host, port = place
        where = on_one_line(f"{scheme}://{host}:{port}", longest=300)
        allowed = f"it allows {', '.join(self.hosts)}" if self.hosts else "it allows none"
        return f"this cluster fetches nothing from {where}; {allowed} (allowed_input_hosts)"

    def reaches(self, address: Address) -> bool:
        return any(address in network for network in self.networks) or _is_public(address)


def _place_of(url: SplitResult) -> tuple[str, str, int]:
    """Raises ValueError."""
    if url.scheme not in DEFAULT_PORTS or not url.hostname or url.username is not None or url.password is not None:
        raise ValueError("no such URL")
    return url.scheme, url.hostname.rstrip("."), url.port or DEFAULT_PORTS[url.scheme]


def _allows(pattern: str, scheme: str, host: str, port: int) -> bool:
    wanted, mark, place = pattern.rpartition("://")
    wanted = wanted if mark else "https"
    name, colon, number = place.rpartition(":")
    if not colon or not number.isdecimal():
        name, number = place, str(DEFAULT_PORTS[wanted])
    return scheme == wanted and port == int(number) and fnmatchcase(host, name.strip("[]").lower())


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(inner)
        # Others lead to IPv4 addresses as well (RFC 4291, RFC 8215, RFC 4380), or nowhere.
        if address not in _GLOBAL_UNICAST or address.teredo:
            return False
    return address.is_global and not address.is_multicast


def fetch(
    url: str, sources: InputSources, *, stops: threading.Event, tls: ssl.SSLContext | None = None
) -> Iterator[bytes]:
    """The content in parts, of `sources.most_bytes` in all at most. The digest is the caller's to check.

    Raises SourceRefused and SourceAway, the latter also once `stops` is set.
    """
    try:
        yield from _followed(url, sources, stops, tls or ssl.create_default_context())
    except ssl.SSLCertVerificationError as error:
        raise SourceRefused(f"its certificate is not valid: {error.verify_message}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SourceAway(on_one_line(f"{type(error).__name__}: {error}", longest=300)) from error


def _followed(url: str, sources: InputSources, stops: threading.Event, tls: ssl.SSLContext) -> Iterator[bytes]:
    until = time.monotonic() + LONGEST_SECONDS
    for _ in range(MOST_REDIRECTS + 1):
        if refusal := sources.refusal(url):
            raise SourceRefused(refusal)
        with _asked(urlsplit(url), sources, tls, until) as answer:
            if answer.status not in REDIRECTS:
                yield from _content(answer, sources.most_bytes, stops, until)
                return
            url = urljoin(url, answer.getheader("Location") or "")
    raise SourceRefused(f"it redirects more than {MOST_REDIRECTS} times")


@contextmanager
def _asked(
    url: SplitResult, sources: InputSources, tls: ssl.SSLContext, until: float
) -> Iterator[http.client.HTTPResponse]:
    scheme, host, port = _place_of(url)
    connection = http.client.HTTPConnection(host, port)
    # Which the header Host leaves out: signatures of some stores are about that header.
    connection.default_port = DEFAULT_PORTS[scheme]
    with (
        closing(_connected(host, port, sources, until)) as plain,
        closing(_wrapped(plain, scheme, host, tls)) as connected,
    ):
        # Neither a handshake nor a header that comes byte by byte keeps a thread for longer.
        timer = threading.Timer(max(0.0, until - time.monotonic()), _cut, [connected])
        timer.daemon = True
        timer.start()
        try:
            if isinstance(connected, ssl.SSLSocket):
                connected.do_handshake()
            connection.sock = connected
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            headers = {"Accept-Encoding": "identity", "User-Agent": "rainbow-agent", "Connection": "close"}
            connection.request("GET", path, headers=headers)
            with closing(connection.getresponse()) as answer:
                yield answer
        finally:
            timer.cancel()


def _wrapped(plain: socket.socket, scheme: str, host: str, tls: ssl.SSLContext) -> socket.socket:
    """Before its handshake. With TLS the plain socket has no descriptor any more."""
    if scheme != "https":
        return plain
    return tls.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)


def _cut(connected: socket.socket) -> None:
    with suppress(OSError):
        # Not that of SSLSocket, which would go on in clear text.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _connected(host: str, port: int, sources: InputSources, until: float) -> socket.socket:
    """To one of the addresses that the name has now, and that may be reached. A name may have thousands."""
    failure: OSError | None = None
    refused: Address | None = None
    for family, kind, protocol, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        address = ipaddress.ip_address(str(place[0]))
        if not sources.reaches(address):
            refused = address
            continue
        left = until - time.monotonic()
        if left <= 0:
            break
        made = socket.socket(family, kind, protocol)
        try:
            made.settimeout(min(CONNECT_SECONDS, left))
            made.connect(place)
            made.settimeout(SILENCE_SECONDS)
            return made
        except OSError as error:
            made.close()
            failure = error
    if failure is not None:
        raise failure
    if refused is None:
        raise TimeoutError("there was no time left to connect")
    raise SourceRefused(f"its address {refused} is not public, and not within allowed_input_networks")


def _content(
    answer: http.client.HTTPResponse, most_bytes: int, stops: threading.Event, until: float
) -> Iterator[bytes]:
    if answer.status in PASSING:
        raise SourceAway(f"it answers with HTTP status {answer.status}")
    if answer.status != 200:
        raise SourceRefused(f"it answers with HTTP status {answer.status}")
    too_large = SourceRefused(f"it is larger than the {most_bytes:,} bytes that this cluster fetches")
    if (answer.length or 0) > most_bytes:
        raise too_large
    size = 0
    # What is there already, unlike `read`, which waits for all that it is to give.
    while part := answer.read1(PART_BYTES):
        size += len(part)
        if size > most_bytes:
            raise too_large
        if stops.is_set():
            raise SourceAway("it is no longer wanted")
        if time.monotonic() > until:
            break
        yield part
    # Also of one that was cut off in its header, which may look like an empty file.
    if time.monotonic() > until:
        raise SourceAway(f"it takes longer than {LONGEST_SECONDS:,.0f} seconds")
    if answer.length:
        raise SourceAway(f"it ends {answer.length:,} bytes too early")
