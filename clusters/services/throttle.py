"""Rate limits on refused credentials and passwords, kept in the database for all processes together."""

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F

from clusters.metrics import CREDENTIALS_REFUSED, LOCK_OUTS
from clusters.models import FailedAttempts
from rainbow.errors import LimitReached, Unauthenticated

WINDOW = timedelta(minutes=1)
_KEEP = timedelta(hours=1)
# Per address, account and window.
ACCOUNT_GUESSES = 5
# Of codes that command lines show, per person and window: 20^8 codes are possible, and few wait at a time.
CODE_GUESSES = 10
# The smallest assignment to one customer (RFC 6177, section 2).
_IPV6_NETWORK_BITS = 64
_LONGEST_ADDRESS = 40


def source_at(address: str, *, registering: bool = False) -> str:
    """The source that an address is counted as: itself, or for IPv6 its /64 network.

    Registrations are counted apart, so that a script with an old token cannot block registrations from its network.
    """
    return f"{'registering from' if registering else 'address'} {_network_of(address)}"


def sign_in_limits(address: str, account: str) -> dict[str, int]:
    """The sources of a password attempt, and how many attempts each may have in a window.

    An account is counted per address, so that attackers elsewhere cannot lock its owner out.
    """
    whole = f"signing in from {_network_of(address)}"
    # Account names may be longer than the column of sources.
    mark = hashlib.sha256(account.encode(errors="replace")).hexdigest()[:32]
    return {f"{whole} as {mark}": ACCOUNT_GUESSES, whole: settings.RAINBOW_GUESSES}


def provider_limits(address: str) -> dict[str, int]:
    """The source of sign-ins at a provider of OpenID Connect, and how many may fail in a window."""
    return {f"signing in from {_network_of(address)}": settings.RAINBOW_GUESSES}


def code_limits(user_id: int) -> dict[str, int]:
    """The source of a person's guesses of the codes that command lines show, and how many may be wrong in a window."""
    return {f"codes by person {user_id}": CODE_GUESSES}


def take_guess(limits: Mapping[str, int], *, now: datetime) -> int:
    """Counts an attempt before it is checked, so that concurrent ones count, too.

    Returns 0, or the seconds to wait if a source is exhausted; then nothing is counted.
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
    """Uncounts an attempt that was right or was not checked."""
    for source in sources:
        FailedAttempts.objects.filter(source=source, failures__gt=0).update(failures=F("failures") - 1)


def seconds_blocked(sources: Sequence[str], *, now: datetime, most: int | None = None) -> int:
    """The seconds that the most blocked of these sources has to wait; 0 when none is blocked.

    A source is blocked after `most` failures in a window, RAINBOW_GUESSES by default.
    """
    limit = settings.RAINBOW_GUESSES if most is None else most
    full = FailedAttempts.objects.filter(source__in=sources, failures__gte=limit, began_at__gt=now - WINDOW)
    began = full.order_by("-began_at").values_list("began_at", flat=True).first()
    return max(1, int((began + WINDOW - now).total_seconds())) if began else 0


@contextmanager
def failures_counted(sources: Sequence[str], *, now: datetime, guessable: bool = False) -> Iterator[None]:
    """Counts a refused credential; past the limit raises LimitReached.

    Tokens and secrets cannot be guessed, so a valid one always passes and attackers lock no cluster out. What people
    choose (`guessable`) is not checked at all while its source is blocked.
    """
    purpose = "registration" if guessable else "call"
    if guessable and (seconds := seconds_blocked(sources, now=now)):
        LOCK_OUTS.labels(purpose).inc()
        raise _too_many(seconds)
    try:
        yield
    except Unauthenticated:
        CREDENTIALS_REFUSED.labels(purpose).inc()
        if seconds := seconds_blocked(sources, now=now):
            LOCK_OUTS.labels(purpose).inc()
            raise _too_many(seconds) from None
        note_failure(sources, now=now)
        raise


def note_failure(sources: Sequence[str], *, now: datetime) -> None:
    for source in sources:
        _count(source, now)


class _NoneLeft(Exception):
    """A source is exhausted; its name."""


def _take(source: str, most: int, now: datetime) -> None:
    _count(source, now)
    if FailedAttempts.objects.filter(source=source, failures__gt=most).exists():
        raise _NoneLeft(source)


def _count(source: str, now: datetime) -> None:
    """Counts exactly, also with concurrent callers and at the end of a window."""
    row = FailedAttempts.objects.filter(source=source)
    if row.filter(began_at__gt=now - WINDOW).update(failures=F("failures") + 1):
        return
    FailedAttempts.objects.get_or_create(source=source, defaults={"began_at": now, "failures": 0})
    row.filter(began_at__lte=now - WINDOW).update(began_at=now, failures=0)
    row.update(failures=F("failures") + 1)
    FailedAttempts.objects.filter(began_at__lt=now - _KEEP).delete()


def _network_of(address: str) -> str:
    """The address, or for IPv6 its network. Other names of a peer are returned as they are."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:_LONGEST_ADDRESS]
    if isinstance(found, ipaddress.IPv6Address):
        # IPv4-mapped addresses would otherwise be one network (RFC 4291, section 2.5.5.2).
        return str(found.ipv4_mapped or ipaddress.ip_network((found, _IPV6_NETWORK_BITS), strict=False))
    return str(found)


def _too_many(seconds: int) -> LimitReached:
    text = f"too many wrong credentials came from your address or for this cluster; wait {seconds} seconds"
    return LimitReached(text, retry_after_seconds=seconds)
