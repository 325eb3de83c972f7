"""Who can reach a server: with the development registration secret, which is public, only its own machine."""

import ipaddress
import socket

from django.conf import settings

from rainbow_site.process.sockets import CannotListen

_EVERYWHERE, _HERE = "[::]:50051", "127.0.0.1:50051"


def grpc_address(given: str | None, *, registration_secret: str) -> str:
    """The address of the flag, else of the setting, else the default, which depends on the secret."""
    if given is not None:
        return given
    return settings.RAINBOW_ADDRESS or (_HERE if is_for_development(registration_secret) else _EVERYWHERE)


def check_reach(address: str, *, registration_secret: str, named: str) -> None:
    """Raises CannotListen if others could reach a server with the development secret at host:port, or through a proxy.

    `named` is the origin of the address, for the message.
    """
    if is_for_development(registration_secret) and settings.RAINBOW_GRPC_PROXIES:
        raise CannotListen(
            "RAINBOW_GRPC_PROXIES: others reach the server through a proxy, and anybody knows the development "
            "registration secret; set RAINBOW_REGISTRATION_SECRET to one of your own"
        )
    if is_for_development(registration_secret) and not is_loopback(address):
        raise CannotListen(
            f"cannot listen on {address} ({named}): others reach it, and anybody knows the development registration "
            "secret; set RAINBOW_REGISTRATION_SECRET to one of your own, or listen on 127.0.0.1"
        )


def is_for_development(registration_secret: str) -> bool:
    return registration_secret == settings.DEVELOPMENT_SECRET


def is_loopback(address: str) -> bool:
    """Whether host:port is a loopback address. Raises CannotListen if it cannot be resolved."""
    host, colon, _ = address.rpartition(":")
    if not colon:
        raise CannotListen(f"cannot listen on {address}: it is not host:port")
    # No host means all addresses.
    return bool(host) and all(map(_is_loopback, _addresses_of(host.strip("[]"), address)))


def _addresses_of(host: str, address: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        raise CannotListen(f"cannot listen on {address}: this machine has no such address") from None


def _is_loopback(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
