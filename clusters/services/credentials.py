from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from clusters.callers import Actor, Caller, Operator
from clusters.models import Cluster, ClusterWhat, Credential, CredentialKind
from clusters.services.events import record
from clusters.services.values import digest_of, new_value
from clusters.services.withdrawals import note_withdrawal
from clusters.validation import check_label, check_reason
from rainbow.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound

DEFAULT_LABEL = "default"
MAX_GRACE = timedelta(days=7)
# Pages list all credentials of a cluster, and all of the fleet that expire soon.
MAX_CREDENTIALS = 100
# Of one credential, beside the current value.
MAX_FORMER_VALUES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCredential:
    """A credential with its value, which is not stored."""

    credential: Credential
    value: str


@transaction.atomic
def create_credential(
    *,
    cluster: Cluster,
    kind: CredentialKind,
    label: str,
    by: Actor,
    reason: str = "",
    now: datetime,
    expires_at: datetime | None = None,
) -> NewCredential:
    """Raises InvalidArgument, AlreadyExists when the label is in use, FailedPrecondition at MAX_CREDENTIALS."""
    check_reason(reason)
    new = add_credential(cluster=cluster, kind=kind, label=label, by=by, now=now, expires_at=expires_at)
    record(ClusterWhat.CREDENTIAL_MADE, cluster_id=cluster.id, by=by, about=new.credential, why=reason, now=now)
    return new


def add_credential(
    *,
    cluster: Cluster,
    kind: CredentialKind,
    label: str,
    by: Actor = None,
    now: datetime,
    expires_at: datetime | None = None,
) -> NewCredential:
    """As `create_credential`, without the event."""
    check_label(label)
    if cluster.pool and kind == CredentialKind.SECRET:
        raise InvalidArgument("a pool has no secret; its clusters pull its jobs with theirs", field="kind")
    if expires_at is not None and expires_at <= now:
        raise InvalidArgument("must lie in the future", field="expires_at")
    if cluster.credentials.live(now).count() >= MAX_CREDENTIALS:
        raise FailedPrecondition(f"the cluster has {MAX_CREDENTIALS} credentials; revoke one first")
    value = new_value(kind)
    free_label(now=now, cluster=cluster, kind=kind, label=label)
    try:
        with transaction.atomic():
            credential = Credential.objects.create(
                cluster=cluster,
                kind=kind,
                label=label,
                digest=digest_of(value),
                created_at=now,
                expires_at=expires_at,
                issued_by_id=_issuer(by),
            )
    except IntegrityError:
        raise AlreadyExists(f"the cluster has a {kind} of this label; choose another", field="label") from None
    return NewCredential(credential=credential, value=value)


def free_label(*, now: datetime, **holder: Any) -> None:
    """Revokes what has this label and has expired: labels are told apart among those that are not revoked."""
    Credential.objects.filter(expires_at__lte=now, revoked_at__isnull=True, **holder).update(revoked_at=now)


@transaction.atomic
def rotate_credential(
    *,
    cluster_id: int,
    kind: CredentialKind,
    label: str = DEFAULT_LABEL,
    grace: timedelta = timedelta(0),
    by: Actor,
    reason: str = "",
    now: datetime,
) -> NewCredential:
    """Replaces a credential's value; the current one keeps working for `grace` (0 to 7 days).

    Values that were replaced before keep their own end; a grace of 0 ends them all. If the caller used such a value, it
    lost the answer to an earlier rotation: then that value, too, works for `grace`.

    Raises InvalidArgument, NotFound when the cluster has no live credential of this kind and label, and
    FailedPrecondition when MAX_FORMER_VALUES replaced values still work.
    """
    if not timedelta(0) <= grace <= MAX_GRACE:
        raise InvalidArgument("must be 0 to 604,800", field="grace_seconds")
    check_label(label)
    check_reason(reason)
    credential = _live(cluster_id, kind, label, now)
    presented_digest = by.digest if isinstance(by, Caller) else ""
    credential.former_values.filter(**({"expires_at__lte": now} if grace else {})).delete()
    credential.previous_expires_at = _keep(credential, presented_digest, until=now + grace) if grace else None
    value = new_value(kind)
    credential.digest = digest_of(value)
    credential.rotated_at = now
    credential.issued_by_id = _issuer(by)
    credential.save(update_fields=["digest", "previous_expires_at", "rotated_at", "issued_by"])
    if not grace:
        note_withdrawal(credential_id=credential.id, now=now)
    record(ClusterWhat.CREDENTIAL_ROTATED, cluster_id=cluster_id, by=by, about=credential, why=reason, now=now)
    return NewCredential(credential=credential, value=value)


def _keep(credential: Credential, held: str, *, until: datetime) -> datetime:
    """Keeps the current value, and the one that the caller used, until then; returns the end of the latter."""
    former = credential.former_values
    if former.count() >= MAX_FORMER_VALUES:
        raise FailedPrecondition(
            f"{MAX_FORMER_VALUES} values that were replaced still work; wait until one of them ends,"
            " or end them all with a grace of 0",
            field="grace_seconds",
        )
    former.create(digest=credential.digest, expires_at=until)
    promised = former.filter(digest=held).values_list("expires_at", flat=True).first() or until
    former.filter(digest=held, expires_at__lt=until).update(expires_at=until)
    return max(promised, until)


@transaction.atomic
def revoke_credential(*, credential: Credential, by: Actor, reason: str = "", now: datetime) -> None:
    """Revokes a credential for good, at once. Raises FailedPrecondition when it is revoked already."""
    check_reason(reason)
    live = Credential.objects.filter(id=credential.id, revoked_at__isnull=True)
    if not live.update(revoked_at=now, previous_expires_at=None):
        raise FailedPrecondition("this credential was revoked before")
    credential.former_values.all().delete()
    note_withdrawal(credential_id=credential.id, now=now)
    record(ClusterWhat.CREDENTIAL_REVOKED, cluster_id=credential.home.id, by=by, about=credential, why=reason, now=now)


def _issuer(by: Actor) -> int | None:
    """The operator who will know the value: the caller, or the issuer of the caller's credential."""
    if isinstance(by, Operator):
        return by.user_id
    return by.issued_by_id if by else None


def _live(cluster_id: int, kind: CredentialKind, label: str, now: datetime) -> Credential:
    try:
        return Credential.objects.live(now).select_for_update().get(cluster_id=cluster_id, kind=kind, label=label)
    except Credential.DoesNotExist:
        raise NotFound(f"the cluster has no {kind} of this label", field="label") from None
