"""Slowing down whoever tries credentials that are not good. Kept in the database, for all processes together."""

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F

from clusters.models import FailedAttempts
from rainbow.errors import Unauthenticated

WINDOW = timedelta(minutes=1)
_KEEP = timedelta(hours=1)
# What one customer of a provider gets at least (RFC 6177, section 2).
_IPV6_NETWORK_BITS = 64


def source_at(address: str, *, registering: bool = False) -> str:
    """Who is counted together: an IPv4 address is one client's, of IPv6 a whole network is.

    Whoever registers is counted apart: an old token in somebody's script keeps no cluster of that network out.
    """
    if ":" in address:
        address = str(ipaddress.ip_network((address.partition("%")[0], _IPV6_NETWORK_BITS), strict=False))
    return f"{'registering from' if registering else 'address'} {address}"


def seconds_blocked(sources: Sequence[str], *, now: datetime) -> int:
    """How long the most blocked of these sources has to wait; 0 when none is.

    Blocked is who had RAINBOW_GUESSES refused in a window.
    """
    full = FailedAttempts.objects.filter(
        source__in=sources, failures__gte=settings.RAINBOW_GUESSES, began_at__gt=now - WINDOW
    )
    began = full.order_by("-began_at").values_list("began_at", flat=True).first()
    return max(1, int((began + WINDOW - now).total_seconds())) if began else 0


@contextmanager
def failures_counted(
    sources: Sequence[str], *, now: datetime, blocked: Callable[[int], Exception], guessable: bool = False
) -> Iterator[None]:
    """Counts a refused credential against its sources; past the limit raises what `blocked` makes of the seconds.

    Tokens and secrets cannot be guessed, so a good one passes always: nobody is locked out by what others try.
    What people choose (`guessable`) is not even looked at while its source is blocked.
    """
    if guessable and (seconds := seconds_blocked(sources, now=now)):
        raise blocked(seconds)
    try:
        yield
    except Unauthenticated:
        if seconds := seconds_blocked(sources, now=now):
            raise blocked(seconds) from None
        note_failure(sources, now=now)
        raise


def note_failure(sources: Sequence[str], *, now: datetime) -> None:
    """Counts a refused credential against an address, a cluster's name."""
    for source in sources:
        current = FailedAttempts.objects.filter(source=source, began_at__gt=now - WINDOW)
        if not current.update(failures=F("failures") + 1):
            FailedAttempts.objects.update_or_create(source=source, defaults={"began_at": now, "failures": 1})
            FailedAttempts.objects.filter(began_at__lt=now - _KEEP).delete()
