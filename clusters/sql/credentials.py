"""The look-up of credentials as plain SQL (docs/decisions/0003-plain-sql.md)."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple

from django.contrib.auth.models import User

from clusters.models import Cluster, Credential, FormerValue, PoolMember, Streak
from clusters.prepared import fetch_prepared
from clusters.sql.moments import as_datetime, timestamp

_CREDENTIAL = Credential._meta.db_table
_FORMER_VALUE = FormerValue._meta.db_table
_CLUSTER = Cluster._meta.db_table
_USER = User._meta.db_table
_STREAK = Streak._meta.db_table
_MEMBER = PoolMember._meta.db_table
# Of a cluster c. A pool never asks: when the last of its clusters that take jobs now did.
LAST_ASKED_AT = f"""
    CASE WHEN c.pool
    THEN (SELECT MAX(m.last_asked_at) FROM {_MEMBER} p JOIN {_CLUSTER} m ON m.id = p.cluster_id
          WHERE p.pool_id = c.id AND m.paused_at IS NULL AND m.not_ready = '')
    ELSE c.last_asked_at END
"""
_BY_DIGEST = f"""
    SELECT {{digest}}, k.id, k.kind, k.label, k.last_used_at,
           c.id, c.name, c.pool, {LAST_ASKED_AT}, c.paused_at, c.paused_reason, c.not_ready,
           k.issued_by_id, u.username, COALESCE(s.reason, '')
    FROM {{credentials}} JOIN {_CLUSTER} c ON c.id = k.cluster_id LEFT JOIN {_USER} u ON u.id = k.issued_by_id
    LEFT JOIN {_STREAK} s ON s.cluster_id = c.id AND s.credential_id = k.id AND s.held_at IS NOT NULL
    WHERE {{digest}} IN ({{places}}) AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > %s)
"""


class CredentialRow(NamedTuple):
    """In the order of _BY_DIGEST's columns."""

    digest: str
    credential_id: int
    kind: str
    label: str
    last_used_at: datetime | None
    cluster_id: int
    cluster: str
    pool: bool
    last_asked_at: datetime | None
    paused_at: datetime | None
    paused_reason: str
    not_ready: str
    issued_by_id: int | None
    issued_by: str | None
    held_back: str


def credentials_by_digest(digests: Sequence[str], now: datetime) -> list[CredentialRow]:
    return _select("k.digest", f"{_CREDENTIAL} k", digests, now)


def credentials_by_former_digest(digests: Sequence[str], now: datetime) -> list[CredentialRow]:
    """The same for replaced values that still work."""
    credentials = f"{_FORMER_VALUE} v JOIN {_CREDENTIAL} k ON k.id = v.credential_id"
    return _select("v.digest", credentials, digests, now, "AND v.expires_at > %s")


def _select(
    column: str, credentials: str, digests: Sequence[str], now: datetime, further: str = ""
) -> list[CredentialRow]:
    at = timestamp(now)
    # A few statements, each prepared, serve any number of digests.
    padded = [*digests, *[digests[-1]] * ((1 << (len(digests) - 1).bit_length()) - len(digests))]
    statement = _statement(column, credentials, len(padded), further)
    rows = fetch_prepared(statement, [*padded, at, *([at] if further else [])])
    return [_in_utc(CredentialRow._make(row)) for row in rows]


@cache
def _statement(column: str, credentials: str, digests: int, further: str) -> str:
    return _BY_DIGEST.format(digest=column, credentials=credentials, places=",".join(["%s"] * digests)) + further


def _in_utc(row: CredentialRow) -> CredentialRow:
    return row._replace(
        last_used_at=as_datetime(row.last_used_at),
        last_asked_at=as_datetime(row.last_asked_at),
        paused_at=as_datetime(row.paused_at),
    )
