import ipaddress

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

UNKNOWN = "unknown"
# Headers that proxies add (RFC 7239, RFC 9110, and their predecessors).
_OF_A_PROXY = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")


def address_of(request: HttpRequest | Request) -> str:
    """The client's address, behind as many proxies as RAINBOW_PROXIES says; UNKNOWN if it is not an IP address."""
    said = BaseThrottle().get_ident(request)  # type: ignore[arg-type]  # (it only reads headers)
    try:
        return str(ipaddress.ip_address(said))
    except ValueError:
        return UNKNOWN


def is_from_this_machine(request: Request) -> bool:
    """Whether the client is a process of this machine, and not a proxy that forwards for others."""
    peer = request.META.get("REMOTE_ADDR", "")
    try:
        near = ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False
    return near and not any(name in request.headers for name in _OF_A_PROXY)
