from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeGuard

from clusters.bounds import Bounds
from clusters.callers import Caller, Claim
from clusters.models import OF_CLUSTERS, Cluster, Credential, CredentialKind
from clusters.services.of_people import Refusal, callers_of_people, is_of_people
from clusters.services.values import REQUEST_DENIED, digest_of
from clusters.sql.credentials import CredentialRow, credentials_by_digest, credentials_by_former_digest
from rainbow.errors import RainbowError, Unauthenticated


def admit(claim: Claim, *, now: datetime) -> Caller:
    """Raises Unauthenticated, and PermissionDenied for a token that may only read."""
    caller = authenticate([claim], now=now)[0]
    if isinstance(caller, RainbowError):
        raise caller
    return caller


def authenticate(claims: Sequence[Claim], *, now: datetime) -> list[Caller | Refusal]:
    """The callers behind many claims, in one query for credentials of clusters and in three for those of people.

    An unknown value, a wrong kind, another cluster's credential or certificate, one that does not reach the cluster,
    and an unknown cluster are refused with the same message after the same work, so that neither the answer nor its
    time tells what exists.
    """
    places = [place for place, claim in enumerate(claims) if is_of_people(claim.value)]
    if not places:
        return _of_clusters(claims, now)
    of_people = dict(zip(places, callers_of_people([claims[place] for place in places], now=now), strict=True))
    others = [place for place in range(len(claims)) if place not in of_people]
    of_clusters = dict(zip(others, _of_clusters([claims[place] for place in others], now), strict=True))
    return [(of_people | of_clusters)[place] for place in range(len(claims))]


def _of_clusters(claims: Sequence[Claim], now: datetime) -> list[Caller | Refusal]:
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


def requirement(kinds: Container[CredentialKind]) -> str:
    """What a call without a credential is told. Those of people are named where none of a cluster would do."""
    of_cluster = " or ".join(kind for kind in OF_CLUSTERS if kind in kinds)
    of_people = " or ".join(kind.label for kind in CredentialKind if kind in kinds)
    return f"a {f'cluster {of_cluster}' if of_cluster else of_people} is required"


def _judge(claim: Claim, row: CredentialRow | None) -> Caller | Refusal:
    if not claim.value:
        return Unauthenticated(requirement(claim.kinds))
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
