"""Making, replacing and withdrawing credentials."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from clusters.models import Cluster, Credential, CredentialKind
from clusters.services.authenticate import digest_of
from clusters.validation import check_label
from rainbow.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound

# The label of the two credentials that registration makes.
DEFAULT_LABEL = "default"
MAX_GRACE = timedelta(days=7)
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


def create_credential(
    *, cluster: Cluster, kind: CredentialKind, label: str, now: datetime, expires_at: datetime | None = None
) -> NewCredential:
    """Adds a credential to a cluster. Raises InvalidArgument, and AlreadyExists when the label is in use."""
    check_label(label)
    if expires_at is not None and expires_at <= now:
        raise InvalidArgument("must lie in the future", field="expires_at")
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
    presented_digest: str = "",
    now: datetime,
) -> NewCredential:
    """Gives a credential a new value; the one in use so far works on for `grace` (0 to 7 days).

    `presented_digest` is the digest of the value that the caller holds. When that is this credential's
    previous value, the answer to an earlier rotation was lost: then it is the held value that works on.
    Raises InvalidArgument, and NotFound when the cluster has no live credential of this kind and label.
    """
    if not timedelta(0) <= grace <= MAX_GRACE:
        raise InvalidArgument("must be 0 to 604,800", field="grace_seconds")
    check_label(label)
    credential = _live(cluster_id, kind, label, now)
    held = credential.previous_digest == presented_digest and presented_digest
    outgoing = credential.previous_digest if held else credential.digest
    value = new_value(kind)
    credential.digest = digest_of(value)
    credential.previous_digest = outgoing if grace else None
    credential.previous_expires_at = now + grace if grace else None
    credential.rotated_at = now
    credential.save(update_fields=["digest", "previous_digest", "previous_expires_at", "rotated_at"])
    return NewCredential(credential=credential, value=value)


def revoke_credential(*, credential: Credential, now: datetime) -> None:
    """Withdraws a credential for good, at once. Raises FailedPrecondition when it was revoked before."""
    live = Credential.objects.filter(id=credential.id, revoked_at__isnull=True)
    if not live.update(revoked_at=now, previous_digest=None, previous_expires_at=None):
        raise FailedPrecondition("this credential was revoked before")


def _live(cluster_id: int, kind: CredentialKind, label: str, now: datetime) -> Credential:
    try:
        return Credential.objects.live(now).select_for_update().get(cluster_id=cluster_id, kind=kind, label=label)
    except Credential.DoesNotExist:
        raise NotFound(f"the cluster has no {kind} of this label", field="label") from None
