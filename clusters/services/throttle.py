"""Slowing down whoever tries credentials that are not good. Kept in the database, for all processes together."""

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F

from clusters.models import FailedAttempts
from rainbow.errors import TooManyAttempts, Unauthenticated

WINDOW = timedelta(minutes=1)
_KEEP = timedelta(hours=1)
# How many passwords an address may offer in a window for one account.
ACCOUNT_GUESSES = 5
# What one customer of a provider gets at least (RFC 6177, section 2).
_IPV6_NETWORK_BITS = 64
_LONGEST_ADDRESS = 40


def source_at(address: str, *, registering: bool = False) -> str:
    """Who is counted together: an IPv4 address is one client's, of IPv6 a whole network is.

    Whoever registers is counted apart: an old token in somebody's script keeps no cluster of that network out.
    """
    return f"{'registering from' if registering else 'address'} {_network_of(address)}"


def sign_in_limits(address: str, account: str) -> dict[str, int]:
    """Who is counted when a password is offered, and how many guesses each may have in a window.

    An account is counted by address: others, who are elsewhere, cannot keep its owner out.
    """
    whole = f"signing in from {_network_of(address)}"
    # Accounts have longer names than sources.
    mark = hashlib.sha256(account.encode(errors="replace")).hexdigest()[:32]
    return {f"{whole} as {mark}": ACCOUNT_GUESSES, whole: settings.RAINBOW_GUESSES}


def take_guess(limits: Mapping[str, int], *, now: datetime) -> int:
    """Counts a guess against each source before it is looked at, so that guesses at the same time count, too.

    Returns 0, or how many seconds to wait where a source has no guesses left; then none is counted.
    """
    for source, most in limits.items():
        if seconds := seconds_blocked([source], now=now, most=most):
            return seconds
    try:
        with transaction.atomic():
            for source, most in limits.items():
                _take(source, most, now)
    except _NoneLeft as left:
        return seconds_blocked([str(left)], now=now, most=1) or 1
    return 0


def give_guess_back(sources: Iterable[str]) -> None:
    """A guess that was right, or was not looked at, counts no more."""
    for source in sources:
        FailedAttempts.objects.filter(source=source, failures__gt=0).update(failures=F("failures") - 1)


def seconds_blocked(sources: Sequence[str], *, now: datetime, most: int | None = None) -> int:
    """How long the most blocked of these sources has to wait; 0 when none is.

    Blocked is who had so many refused in a window, RAINBOW_GUESSES unless said.
    """
    limit = settings.RAINBOW_GUESSES if most is None else most
    full = FailedAttempts.objects.filter(source__in=sources, failures__gte=limit, began_at__gt=now - WINDOW)
    began = full.order_by("-began_at").values_list("began_at", flat=True).first()
    return max(1, int((began + WINDOW - now).total_seconds())) if began else 0


@contextmanager
def failures_counted(sources: Sequence[str], *, now: datetime, guessable: bool = False) -> Iterator[None]:
    """Counts a refused credential against its sources; past the limit raises TooManyAttempts.

    Tokens and secrets cannot be guessed, so a good one passes always: nobody is locked out by what others try.
    What people choose (`guessable`) is not even looked at while its source is blocked.
    """
    if guessable and (seconds := seconds_blocked(sources, now=now)):
        raise TooManyAttempts(seconds)
    try:
        yield
    except Unauthenticated:
        if seconds := seconds_blocked(sources, now=now):
            raise TooManyAttempts(seconds) from None
        note_failure(sources, now=now)
        raise


def note_failure(sources: Sequence[str], *, now: datetime) -> None:
    """Counts a refused credential against an address, a cluster's name."""
    for source in sources:
        _count(source, now)


class _NoneLeft(Exception):
    """A source had its guesses; its name."""


def _take(source: str, most: int, now: datetime) -> None:
    _count(source, now)
    if FailedAttempts.objects.filter(source=source, failures__gt=most).exists():
        raise _NoneLeft(source)


def _count(source: str, now: datetime) -> None:
    """Each of those who count at the same time is counted, also where a window ends."""
    row = FailedAttempts.objects.filter(source=source)
    if row.filter(began_at__gt=now - WINDOW).update(failures=F("failures") + 1):
        return
    FailedAttempts.objects.get_or_create(source=source, defaults={"began_at": now, "failures": 0})
    row.filter(began_at__lte=now - WINDOW).update(began_at=now, failures=0)
    row.update(failures=F("failures") + 1)
    FailedAttempts.objects.filter(began_at__lt=now - _KEEP).delete()


def _network_of(address: str) -> str:
    """The address, or of IPv6 its network. Anything else that a transport calls its peer stands for itself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:_LONGEST_ADDRESS]
    if isinstance(found, ipaddress.IPv6Address):
        # All IPv4 clients of a socket that speaks IPv6 would otherwise be one network (RFC 4291, section 2.5.5.2).
        return str(found.ipv4_mapped or ipaddress.ip_network((found, _IPV6_NETWORK_BITS), strict=False))
    return str(found)
