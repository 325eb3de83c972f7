"""Metadata, deadlines and statuses as headers (PROTOCOL-HTTP2, "Requests" and "Responses")."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import quote_from_bytes

import grpc

Headers = list[tuple[bytes, bytes]]

# Not metadata: what gRPC itself says with headers.
_RESERVED = frozenset({b"content-type", b"te", b"host", b"content-length"})
_TIMEOUT = re.compile(rb"(\d{1,8})([HMSmun])")
_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
# Printable ASCII but the percent sign; the rest is percent-encoded.
_UNENCODED = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


def metadata_in(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str | bytes], ...]:
    """In their order. A binary value that is no base64 is left out."""
    return tuple(
        (key.decode("latin-1"), value)
        for key, raw in headers
        if key not in _RESERVED and not key.startswith(b"grpc-") and (value := _value(key, raw)) is not None
    )


def _value(key: bytes, raw: bytes) -> str | bytes | None:
    if not key.endswith(b"-bin"):
        return raw.decode("latin-1")
    try:
        # Clients may leave the padding out.
        return base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
    except binascii.Error:
        return None


def seconds_in(timeout: bytes) -> float | None:
    """Of `grpc-timeout`; None when it is none."""
    match = _TIMEOUT.fullmatch(timeout)
    return int(match[1]) * _SECONDS[match[2]] if match else None


def status(code: grpc.StatusCode, message: str = "", trailers: Iterable[tuple[str, str]] = ()) -> Headers:
    headers: Headers = [(b"grpc-status", b"%d" % code.value[0])]
    if message:
        encoded = quote_from_bytes(message.encode(), safe=_UNENCODED)
        headers.append((b"grpc-message", encoded.encode("ascii")))
    headers += [(key.encode("ascii"), value.encode("ascii", "replace")) for key, value in trailers]
    return headers


def peer_in(client: tuple[str, int] | None) -> str:
    """In the form of gRPC, which shows an IPv4 client of an IPv6 socket as what it is."""
    if client is None:
        return "unknown"
    host, port = client
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return f"ipv4:{address}:{port}" if address.version == 4 else f"ipv6:%5B{address}%5D:{port}"
