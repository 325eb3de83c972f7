from dataclasses import dataclass
from typing import Protocol

from grpc_api.transport.tls import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where a transport listens, as ServerOptions says, and how long calls may take once it stops."""

    address: str
    share_port: bool
    certificate: Certificate | None
    client_ca: bool
    client_address: str
    grace_seconds: int


def with_host(address: str) -> str:
    """In the original's form `:50051` means all addresses of the machine."""
    return f"[::]{address}" if address.startswith(":") else address


class Transport(Protocol):
    """What carries calls to the methods, and their answers back. Its methods are called once, in this order."""

    def listen(self) -> str:
        """Takes the addresses and gives them with their ports. Raises CannotListen."""

    async def start(self) -> None: ...

    async def stop(self) -> bool:
        """Takes no more calls, finishes those in flight, and cancels what is left after the grace.

        False when connections are left that would keep the event loop from ending.
        """
