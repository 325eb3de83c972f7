"""Making, replacing and withdrawing credentials."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from clusters.callers import Actor, Caller, Operator
from clusters.models import Cluster, ClusterWhat, Credential, CredentialKind
from clusters.services.authenticate import digest_of
from clusters.services.events import record
from clusters.validation import check_label, check_reason
from rainbow.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound

# The label of the two credentials that registration makes.
DEFAULT_LABEL = "default"
MAX_GRACE = timedelta(days=7)
# Whoever looks after clusters looks at all of a cluster's credentials, and at those of all that expire soon.
MAX_CREDENTIALS = 100
# How many replaced values of one credential may work beside the present one.
MAX_FORMER_VALUES = 10
# Tells a token from a secret at a glance, and lets scanners for leaked secrets find both.
_PREFIX = {CredentialKind.TOKEN: "rbt_", CredentialKind.SECRET: "rbs_"}
_RANDOM_BYTES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCredential:
    """A credential with its value, which is known only now."""

    credential: Credential
    value: str


def new_value(kind: CredentialKind) -> str:
    """A value of 192 random bits."""
    return _PREFIX[kind] + secrets.token_urlsafe(_RANDOM_BYTES)


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
    """Adds a credential to a cluster.

    Raises InvalidArgument, AlreadyExists when the label is in use, FailedPrecondition when the cluster has 100.
    """
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
    """The row of a new credential, without its event."""
    check_label(label)
    if expires_at is not None and expires_at <= now:
        raise InvalidArgument("must lie in the future", field="expires_at")
    if cluster.credentials.live(now).count() >= MAX_CREDENTIALS:
        raise FailedPrecondition(f"the cluster has {MAX_CREDENTIALS} credentials; revoke one first")
    value = new_value(kind)
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
    """Gives a credential a new value; the one in use so far works on for `grace` (0 to 7 days).

    Values that were replaced before work on as long as they were promised; a grace of 0 ends them all.
    When the value that the caller holds was replaced before, the answer to a rotation was lost: then it, too, works
    on for `grace`.
    Raises InvalidArgument, NotFound when the cluster has no live credential of this kind and label, and
    FailedPrecondition when 10 replaced values still work.
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
    record(ClusterWhat.CREDENTIAL_ROTATED, cluster_id=cluster_id, by=by, about=credential, why=reason, now=now)
    return NewCredential(credential=credential, value=value)


def _keep(credential: Credential, held: str, *, until: datetime) -> datetime:
    """Lets the present value, and an earlier one that is held, work until then, and says how long the held one does."""
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
    """Withdraws a credential for good, at once. Raises FailedPrecondition when it was revoked before."""
    check_reason(reason)
    live = Credential.objects.filter(id=credential.id, revoked_at__isnull=True)
    if not live.update(revoked_at=now, previous_expires_at=None):
        raise FailedPrecondition("this credential was revoked before")
    credential.former_values.all().delete()
    record(
        ClusterWhat.CREDENTIAL_REVOKED, cluster_id=credential.cluster_id, by=by, about=credential, why=reason, now=now
    )


def _issuer(by: Actor) -> int | None:
    """The operator who will know the value: also who makes it with a credential whose value an operator knows."""
    if isinstance(by, Operator):
        return by.user_id
    return by.issued_by_id if by else None


def _live(cluster_id: int, kind: CredentialKind, label: str, now: datetime) -> Credential:
    try:
        return Credential.objects.live(now).select_for_update().get(cluster_id=cluster_id, kind=kind, label=label)
    except Credential.DoesNotExist:
        raise NotFound(f"the cluster has no {kind} of this label", field="label") from None
