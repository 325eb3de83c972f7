"""Where a server is: HOST or HOST:PORT."""

import ipaddress
import re

from rainbow.errors import InvalidArgument

USUAL_PORT = 50051
LARGEST_PORT = 65535
LABEL = re.compile(r"[^\s/:@?#\[\].]{1,63}")
PLACE = re.compile(r"(?P<host>\[[^\[\]]+\]|[^\[\]:]+)(?::(?P<port>[0-9]{1,5}))?")


def place(address: str) -> tuple[str, int]:
    """The host, an IPv6 address without brackets, and the port, 50051 unless said. Raises InvalidArgument."""
    if _is_ipv6(address):
        return address, USUAL_PORT
    found = PLACE.fullmatch(address)
    if found is None or not _is_host(found["host"]):
        raise _malformed(address)
    port = int(found["port"] or USUAL_PORT)
    if not 0 < port <= LARGEST_PORT:
        raise _malformed(address)
    return found["host"].strip("[]"), port


def with_port(address: str) -> str:
    """The same place with its port."""
    host, port = place(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(address: str) -> bool:
    """Whether the place is on this machine, by its name or its address."""
    host, _ = place(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.removesuffix(".") == "localhost"


def _is_host(text: str) -> bool:
    if text.startswith("["):
        return _is_ipv6(text.strip("[]"))
    return all(LABEL.fullmatch(label) for label in text.removesuffix(".").split(".")) and _is_encodable(text)


def _is_encodable(name: str) -> bool:
    """Whether a resolver can be asked for it: that knows ASCII alone."""
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _malformed(address: str) -> InvalidArgument:
    return InvalidArgument(f"must be HOST or HOST:PORT, without http://, not {address!r}", field="host")
