"""Where a call comes from, also behind proxies that pass calls on."""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Protocol

from django.conf import settings

from grpc_api.rpcs.call import FORWARDED

_KEY = "x-forwarded-for"
# What proxies add (RFC 7239, RFC 9110, and their predecessors).
_OF_A_PROXY = frozenset({"forwarded", "via", _KEY, "x-forwarded-host", "x-forwarded-proto", "x-real-ip"})
_UNKNOWN = "unknown"

Metadata = Iterable[tuple[str, str | bytes]]


class Connection(Protocol):
    def peer(self) -> str: ...


def peer_of(connection: Connection, metadata: Metadata | None) -> str:
    """The client's address: gRPC's form of the other end's, or FORWARDED and what the outermost of as many proxies as
    RAINBOW_GRPC_PROXIES says has written. What is before that in the list is the client's own.
    """
    written = list(_written(metadata)) if settings.RAINBOW_GRPC_PROXIES else []
    if not written:
        return connection.peer()
    return FORWARDED + _address(written[-min(settings.RAINBOW_GRPC_PROXIES, len(written))])


def is_forwarded(metadata: Metadata | None) -> bool:
    return any(key in _OF_A_PROXY for key, _ in metadata or ())


def _written(metadata: Metadata | None) -> Iterator[str]:
    for key, value in metadata or ():
        if key == _KEY and isinstance(value, str):
            yield from value.split(",")


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return _UNKNOWN
