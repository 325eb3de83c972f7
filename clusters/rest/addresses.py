"""Where a request comes from."""

import ipaddress

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

UNKNOWN = "unknown"


def address_of(request: HttpRequest | Request) -> str:
    """The client's address, seen past as many proxies as RAINBOW_PROXIES says."""
    said = BaseThrottle().get_ident(request)  # type: ignore[arg-type]  # (it only reads headers)
    try:
        return str(ipaddress.ip_address(said))
    except ValueError:
        return UNKNOWN
