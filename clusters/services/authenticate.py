import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeGuard

from clusters.bounds import Bounds
from clusters.callers import Caller, Claim
from clusters.models import Cluster, Credential, CredentialKind
from clusters.sql import CredentialRow, credentials_by_digest, credentials_by_former_digest
from rainbow.errors import Unauthenticated

REQUEST_DENIED = "request denied"


def digest_of(value: str) -> str:
    """SHA-256 in hexadecimal. The values have 192 random bits, so an unsalted digest is safe."""
    return hashlib.sha256(value.encode()).hexdigest()


def admit(claim: Claim, *, now: datetime) -> Caller:
    """Raises Unauthenticated."""
    caller = authenticate([claim], now=now)[0]
    if isinstance(caller, Unauthenticated):
        raise caller
    return caller


def authenticate(claims: Sequence[Claim], *, now: datetime) -> list[Caller | Unauthenticated]:
    """The callers behind many claims, in one query.

    An unknown value, a wrong kind, another cluster's credential or certificate and an unknown cluster are refused with
    the same message after the same work, so that neither the answer nor its time tells what exists.
    """
    digests = [digest_of(claim.value) if claim.value else "" for claim in claims]
    rows = _by_digest(credentials_by_digest, digests, now)
    # Also for claims that are refused anyway, or their answers would be faster than those for unknown values.
    unmatched = [digest for claim, digest in zip(claims, digests, strict=True) if not _fits(rows.get(digest), claim)]
    rows |= _by_digest(credentials_by_former_digest, unmatched, now)
    return [_judge(claim, rows.get(digest)) for claim, digest in zip(claims, digests, strict=True)]


def note_visits(*, used: Iterable[int], asked: Mapping[int, Bounds], now: datetime) -> None:
    """Stores the use of these credentials (ids), and which clusters (ids) requested jobs, within which bounds."""
    Credential.objects.filter(id__in=list(used)).update(last_used_at=now)
    for cluster_id, bounds in asked.items():
        Cluster.objects.filter(id=cluster_id).update(last_asked_at=now, last_bounds=bounds.said())


def _by_digest(
    lookup: Callable[[Sequence[str], datetime], list[CredentialRow]], digests: Iterable[str], now: datetime
) -> dict[str, CredentialRow]:
    wanted = list(dict.fromkeys(filter(None, digests)))
    return {row.digest: row for row in lookup(wanted, now)} if wanted else {}


def _fits(row: CredentialRow | None, claim: Claim) -> TypeGuard[CredentialRow]:
    return row is not None and row.kind in claim.kinds and claim.cluster in (None, row.cluster) and _agrees(row, claim)


def _agrees(row: CredentialRow, claim: Claim) -> bool:
    """Whether the client's certificate is for the cluster whose secret this is. Submitters' may have any name."""
    return claim.certified is None or row.kind != CredentialKind.SECRET or row.cluster in claim.certified


def _judge(claim: Claim, row: CredentialRow | None) -> Caller | Unauthenticated:
    if not claim.value:
        kinds = " or ".join(kind for kind in CredentialKind if kind in claim.kinds)
        return Unauthenticated(f"a cluster {kinds} is required")
    if not _fits(row, claim):
        return Unauthenticated(REQUEST_DENIED)
    return Caller(
        credential_id=row.credential_id,
        kind=CredentialKind(row.kind),
        label=row.label,
        digest=row.digest,
        last_used_at=row.last_used_at,
        cluster_id=row.cluster_id,
        cluster=row.cluster,
        pool=row.pool,
        last_asked_at=row.last_asked_at,
        paused_at=row.paused_at,
        paused_reason=row.paused_reason,
        not_ready=row.not_ready,
        issued_by_id=row.issued_by_id,
        issued_by=row.issued_by or "",
        held_back=row.held_back,
        request_id=claim.request_id,
        traceparent=claim.traceparent,
    )
