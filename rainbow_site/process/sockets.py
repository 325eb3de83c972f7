"""Binding ports before the processes that serve them start."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

BACKLOG = 2048


class CannotListen(Exception):
    """The address is in use, not this machine's, or not an address."""


def listen(address: str, *, share_port: bool = False, dual_stack: bool = False) -> socket.socket:
    """A socket that listens on host:port, an IPv6 host in brackets; port 0 is any free port. Raises CannotListen.

    With `dual_stack` an IPv6 host takes IPv4 clients too, which matters for `[::]` alone.
    """
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        return socket.create_server(
            (host.strip("[]"), int(port)),
            family=family,
            backlog=BACKLOG,
            reuse_port=share_port,
            dualstack_ipv6=dual_stack and family == socket.AF_INET6,
        )
    except (OSError, OverflowError, ValueError) as error:
        raise CannotListen(f"cannot listen on {address}: {_why(error)}") from None


def _why(error: Exception) -> str:
    if not isinstance(error, OSError):
        return "it is not host:port"
    known = {errno.EADDRINUSE: "it is in use", errno.EACCES: "that port is for root"}
    return known.get(error.errno or 0, "this machine has no such address")


def check_address(address: str) -> None:
    """Raises CannotListen."""
    listen(address).close()


@contextmanager
def reserve(address: str) -> Iterator[str]:
    """Reserves host:port for processes that share it (SO_REUSEPORT, socket(7)); yields it with the port's number.

    Raises CannotListen, also when other processes share the port already.
    """
    with listen(address) as alone:
        address = address_of(alone)
        family, place = alone.family, alone.getsockname()
    # It does not listen, so it gets no connections.
    with socket.socket(family) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(place)
        yield address


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if listener.family == socket.AF_INET6 else f"{host}:{port}"
