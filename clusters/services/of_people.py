"""The callers behind tokens of persons and projects. What these reach is looked up at each use."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from django.contrib.auth.models import User

from clusters.callers import ActsFor, Caller, Claim
from clusters.models import OF_CLUSTERS, CredentialKind
from clusters.services.values import PREFIX, REQUEST_DENIED, digest_of
from clusters.sql.reach import ReachRow, TokenRow, reach_of, reach_of_person, scopes_of, tokens_by_digest
from rainbow.errors import InvalidArgument, PermissionDenied, RainbowError, Unauthenticated

Refusal = Unauthenticated | PermissionDenied
READS_ONLY = "this token may only read"
_PREFIXES = (PREFIX[CredentialKind.PERSONAL], PREFIX[CredentialKind.PROJECT])
# There is no credential of this id: a look-up for it costs what one of a token that works does.
_NONE = 0


def is_of_people(value: str) -> bool:
    """Whether this would be a token of a person or a project."""
    return value.startswith(_PREFIXES)


def callers_of_people(claims: Sequence[Claim], *, now: datetime) -> list[Caller | Refusal]:
    digests = [digest_of(claim.value) for claim in claims]
    tokens = {row.digest: row for row in tokens_by_digest(sorted(set(digests)), now)}
    ids = sorted(row.credential_id for row in tokens.values()) or [_NONE]
    reach = _by_token(reach_of(ids, sorted({claim.cluster for claim in claims if claim.cluster})))
    scopes = defaultdict[int, set[int]](set)
    for token_id, cluster_id in scopes_of(ids):
        scopes[token_id].add(cluster_id)
    return [_judge(claim, tokens.get(digest), reach, scopes) for claim, digest in zip(claims, digests, strict=True)]


def caller_of_person(person_id: int, *, cluster: str | None = None, request_id: str = "") -> Caller:
    """A person who is signed in on a page. They reach what a personal token of theirs does that is not narrowed.

    `cluster` is what the call is for. Raises Unauthenticated where that is out of reach, and for one who may not
    sign in.
    """
    person = User.objects.filter(id=person_id, is_active=True).first()
    rows = reach_of_person(person_id, [cluster] if cluster else [])
    claim = Claim(value="", cluster=cluster, request_id=request_id)
    caller = _judge(claim, _without_token(person) if person else None, {_NONE: rows}, {})
    if isinstance(caller, RainbowError):
        raise caller
    return caller


def project_for(caller: Caller, name: str) -> int | None:
    """The project that a job counts for: the one of this name, or the only one that may use the cluster.

    None with a credential of the cluster. Raises InvalidArgument.
    """
    if caller.kind in OF_CLUSTERS:
        if name:
            raise InvalidArgument("a cluster's token acts for no project; leave it out", field="project")
        return None
    caller.check_place()
    granted = {project.name: project.id for project in caller.projects if project.granted}
    if not name and len(granted) == 1:
        return next(iter(granted.values()))
    if name not in granted:
        raise InvalidArgument(f"must be one of {', '.join(granted)}", field="project")
    return granted[name]


def _without_token(person: User) -> TokenRow:
    return TokenRow(
        digest="",
        credential_id=_NONE,
        kind=CredentialKind.PERSONAL,
        label="",
        last_used_at=None,
        reads_only=False,
        person_id=person.pk,
        person=person.get_username(),
        project_id=None,
        issued_by_id=None,
        issued_by=None,
    )


def _by_token(rows: Iterable[ReachRow]) -> Mapping[int, list[ReachRow]]:
    found = defaultdict[int, list[ReachRow]](list)
    for row in rows:
        found[row.credential_id].append(row)
    return found


def _judge(
    claim: Claim,
    token: TokenRow | None,
    reach: Mapping[int, list[ReachRow]],
    scopes: Mapping[int, set[int]],
) -> Caller | Refusal:
    if token is None or token.kind not in claim.kinds:
        return Unauthenticated(REQUEST_DENIED)
    projects = reach.get(token.credential_id, [])
    granted = [row for row in projects if claim.cluster and row.cluster == claim.cluster]
    if claim.cluster is not None and not granted:
        return Unauthenticated(REQUEST_DENIED)
    if token.reads_only and not claim.reads:
        return PermissionDenied(READS_ONLY)
    narrowed = frozenset(scopes.get(token.credential_id, ()))
    return _caller(claim, token, _acts_for(projects, granted), granted[0] if granted else None, narrowed)


def _acts_for(projects: Sequence[ReachRow], granted: Sequence[ReachRow]) -> tuple[ActsFor, ...]:
    may = {row.project_id for row in granted}
    found = {
        row.project_id: ActsFor(
            id=row.project_id,
            name=row.project,
            granted=row.project_id in may,
            leads=bool(row.leads),
            shares=bool(row.shares),
        )
        for row in projects
    }
    return tuple(found.values())


def _caller(
    claim: Claim, token: TokenRow, projects: tuple[ActsFor, ...], at: ReachRow | None, scopes: frozenset[int]
) -> Caller:
    return Caller(
        credential_id=token.credential_id,
        kind=CredentialKind(token.kind),
        label=token.label,
        digest=token.digest,
        last_used_at=token.last_used_at,
        cluster_id=(at.cluster_id or 0) if at else 0,
        cluster=at.cluster if at else "",
        pool=bool(at and at.pool),
        last_asked_at=at.last_asked_at if at else None,
        not_ready=at.not_ready if at else "",
        paused_at=at.paused_at if at else None,
        paused_reason=at.paused_reason if at else "",
        issued_by_id=token.issued_by_id,
        issued_by=token.issued_by or "",
        held_back=at.held_back if at else "",
        request_id=claim.request_id,
        traceparent=claim.traceparent,
        person_id=token.person_id,
        person=token.person,
        narrowed_to=token.project_id,
        projects=projects,
        scopes=scopes,
    )
