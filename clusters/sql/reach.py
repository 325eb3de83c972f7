"""The look-up of tokens of persons and projects, and of what they reach."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from django.contrib.auth.models import User

from clusters.models import Cluster, Credential, CredentialKind, Grant, Membership, Project, Role, Scope, Streak
from clusters.sql.credentials import LAST_ASKED_AT
from clusters.sql.cursors import open_cursor
from clusters.sql.moments import as_datetime, timestamp

_CREDENTIAL = Credential._meta.db_table
_CLUSTER = Cluster._meta.db_table
_GRANT = Grant._meta.db_table
_MEMBERSHIP = Membership._meta.db_table
_PROJECT = Project._meta.db_table
_SCOPE = Scope._meta.db_table
_STREAK = Streak._meta.db_table
_USER = User._meta.db_table
_TOKENS = f"""
    SELECT k.digest, k.id, k.kind, k.label, k.last_used_at, k.reads_only, k.person_id, COALESCE(u.username, ''),
           k.project_id, k.issued_by_id, i.username
    FROM {_CREDENTIAL} k LEFT JOIN {_USER} u ON u.id = k.person_id LEFT JOIN {_USER} i ON i.id = k.issued_by_id
    WHERE k.digest IN ({{places}}) AND k.kind IN ('{CredentialKind.PERSONAL}', '{CredentialKind.PROJECT}')
      AND k.revoked_at IS NULL AND k.expires_at > %s AND (k.person_id IS NULL OR u.is_active)
"""
_OF_TOKENS = f"SELECT id, kind, person_id, project_id FROM {_CREDENTIAL} WHERE id IN ({{tokens}})"
# What a personal token of theirs would be that is not narrowed.
_OF_PERSON = f"""
    SELECT 0 AS id, '{CredentialKind.PERSONAL}' AS kind, id AS person_id, CAST(NULL AS BIGINT) AS project_id
    FROM {_USER} WHERE id = %s
"""
# A row for each project that a token or a person acts for, and of these each asked cluster that it is granted.
_REACH = f"""
    SELECT k.id, r.id, r.name, r.shares_jobs, COALESCE(m.role = '{Role.LEAD}', TRUE),
           c.id, c.name, c.pool, {LAST_ASKED_AT}, c.paused_at, c.paused_reason, c.not_ready, COALESCE(s.reason, '')
    FROM ({{holders}}) k
    JOIN {_PROJECT} r ON r.closed_at IS NULL AND (k.project_id IS NULL OR k.project_id = r.id)
    LEFT JOIN {_MEMBERSHIP} m ON m.project_id = r.id AND m.person_id = k.person_id
    LEFT JOIN ({_GRANT} g JOIN {_CLUSTER} c ON c.id = g.cluster_id AND c.name IN ({{clusters}}))
      ON g.project_id = r.id AND (
        NOT EXISTS (SELECT 1 FROM {_SCOPE} x WHERE x.credential_id = k.id)
        OR EXISTS (SELECT 1 FROM {_SCOPE} x WHERE x.credential_id = k.id AND x.cluster_id = c.id)
      )
    LEFT JOIN {_STREAK} s ON s.cluster_id = c.id AND s.credential_id = k.id AND s.held_at IS NOT NULL
    WHERE m.id IS NOT NULL OR k.kind = '{CredentialKind.PROJECT}'
    ORDER BY k.id, r.name
"""


class TokenRow(NamedTuple):
    """In the order of _TOKENS' columns. `project_id`: what a personal token is narrowed to, or whose token it is."""

    digest: str
    credential_id: int
    kind: str
    label: str
    last_used_at: datetime | None
    reads_only: bool
    person_id: int | None
    person: str
    project_id: int | None
    issued_by_id: int | None
    issued_by: str | None


class ReachRow(NamedTuple):
    """In the order of _REACH's columns; those of the cluster are None where the project has none that was asked for."""

    credential_id: int
    project_id: int
    project: str
    shares: bool
    leads: bool
    cluster_id: int | None
    cluster: str
    pool: bool
    last_asked_at: datetime | None
    paused_at: datetime | None
    paused_reason: str
    not_ready: str
    held_back: str


def tokens_by_digest(digests: Collection[str], now: datetime) -> list[TokenRow]:
    """Those that work, of persons who may sign in."""
    places = ",".join(["%s"] * len(digests))
    rows = _fetch(_TOKENS.format(places=places), [*digests, timestamp(now)])
    return [row._replace(last_used_at=as_datetime(row.last_used_at)) for row in map(TokenRow._make, rows)]


def reach_of(token_ids: Collection[int], clusters: Collection[str]) -> list[ReachRow]:
    """The open projects that these tokens act for, and which of these clusters those may use."""
    return _reach(_OF_TOKENS.format(tokens=",".join(["%s"] * len(token_ids))), list(token_ids), clusters)


def reach_of_person(person_id: int, clusters: Collection[str]) -> list[ReachRow]:
    """The same of a person, for the credential of id 0."""
    return _reach(_OF_PERSON, [person_id], clusters)


def _reach(holders: str, ids: Sequence[int], clusters: Collection[str]) -> list[ReachRow]:
    statement = _REACH.format(holders=holders, clusters=",".join(["%s"] * len(clusters)) or "NULL")
    return [_in_utc(ReachRow._make(row)) for row in _fetch(statement, [*ids, *clusters])]


def scopes_of(token_ids: Collection[int]) -> list[tuple[int, int]]:
    """(token id, cluster id) of what tokens are narrowed to."""
    return list(Scope.objects.filter(credential_id__in=token_ids).values_list("credential_id", "cluster_id"))


def _fetch(statement: str, parameters: Sequence[str | int | None]) -> list[tuple[object, ...]]:
    with open_cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def _in_utc(row: ReachRow) -> ReachRow:
    return row._replace(last_asked_at=as_datetime(row.last_asked_at), paused_at=as_datetime(row.paused_at))
