"""Where a request comes from."""

import ipaddress

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

# What one customer of a provider gets at least (RFC 6177, section 2).
_IPV6_NETWORK_BITS = 64
UNKNOWN = "unknown"


def address_of(request: HttpRequest | Request) -> str:
    """The client's address, seen past as many proxies as RAINBOW_PROXIES says."""
    said = BaseThrottle().get_ident(request)  # type: ignore[arg-type]  # (it only reads headers)
    try:
        return str(ipaddress.ip_address(said))
    except ValueError:
        return UNKNOWN


def network_of(address: str) -> str:
    """Who is counted together: an IPv4 address is one client's, of IPv6 a whole network is."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address.partition("%")[0], _IPV6_NETWORK_BITS), strict=False))
