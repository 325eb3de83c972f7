"""Revoking credentials that leaked. Who has the value needs no other right."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from clusters.models import OF_CLUSTERS, Credential
from clusters.services.credentials import revoke_credential
from clusters.services.personal_tokens import revoke_token
from clusters.services.projects import Change
from clusters.services.throttle import failures_counted
from clusters.services.values import REQUEST_DENIED, digest_of
from rainbow.errors import InvalidArgument, NotFound, Unauthenticated

REASON = "leaked: reported by a holder of the value"
LONGEST_VALUE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A credential that leaked. `revoked_now`: it worked until this report, or would have until it expired."""

    credential: Credential
    revoked_now: bool


def report_leak(*, value: str, show: bool, source: str, now: datetime) -> Leak:
    """Revokes the credential of this value; `show` changes nothing. One that was revoked before is no failure.

    Raises InvalidArgument, NotFound for what is no credential's value, which counts as a refused credential of the
    source, and LimitReached where those are too many.
    """
    if not 0 < len(value) <= LONGEST_VALUE:
        raise InvalidArgument(f"must have 1 to {LONGEST_VALUE} characters, not {len(value):,}", field="value")
    try:
        with failures_counted([source], now=now):
            found = _credential_of(value, now)
    except Unauthenticated:
        raise NotFound("no credential has this value", field="value") from None
    return Leak(credential=found, revoked_now=False) if show else _revoke(found.id, now)


@transaction.atomic
def _revoke(credential_id: int, now: datetime) -> Leak:
    """Under a lock, so that of two reports at a time one revokes."""
    found = _whole().select_for_update(no_key=True, of=("self",)).get(id=credential_id)
    if found.revoked_at:
        return Leak(credential=found, revoked_now=False)
    if found.kind in OF_CLUSTERS:
        revoke_credential(credential=found, by=None, reason=REASON, now=now)
    else:
        revoke_token(credential_id=found.id, change=Change(by=None, now=now, reason=REASON))
    found.revoked_at = now
    return Leak(credential=found, revoked_now=True)


def _credential_of(value: str, now: datetime) -> Credential:
    """Also of a value that was replaced, while it works: who has one that no longer does can do nothing with it."""
    digest = digest_of(value)
    found = (
        _whole().filter(digest=digest).first()
        or _whole().filter(former_values__digest=digest, former_values__expires_at__gt=now).first()
    )
    if found is None:
        raise Unauthenticated(REQUEST_DENIED)
    return found


def _whole() -> QuerySet[Credential]:
    return Credential.objects.select_related("cluster", "person", "project")
