"""UPDATEs and locks of jobs."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from jobs.leases import Lease
from jobs.models import Job
from jobs.sql.statements import Row, fetch, timestamp
from jobs.states import JobState

_JOB = Job._meta.db_table
_QUEUED = f"state = '{JobState.QUEUED}'"
# Ids in a statement; SQLite takes at most 32,766 values.
_PART = 10_000
REPORTED_COLUMNS = ("state", "agent", "native_id", "exit_code", "reason", "started_at", "finished_at", "lost_at")
LEASE_COLUMNS = ("lease_seconds", "lease_expires_at")


def lock_jobs(cluster_ids: Sequence[int], job_ids: Iterable[int]) -> None:
    """Locks those of the jobs that are in these clusters until the commit, in the order of their ids.

    For transactions that run several statements on jobs: the lock order (docs/development.md). On SQLite a writing
    transaction is alone.
    """
    if connection.vendor == "postgresql":
        statement = f"SELECT 1 FROM {_JOB} WHERE id = ANY(%s) AND cluster_id = ANY(%s) ORDER BY id FOR UPDATE"
        fetch(statement, [sorted(set(job_ids)), list(cluster_ids)])


def in_parts(job_ids: Iterable[int]) -> Iterator[list[int]]:
    """The ids in their order, as many at a time as a statement takes."""
    ids = sorted(job_ids)
    return (ids[start : start + _PART] for start in range(0, len(ids), _PART))


def take_jobs(cluster_id: int, job_ids: Sequence[int], *, lease: Lease | None, now: datetime) -> list[Row]:
    """Accepts those of the jobs that wait; returns their (id, attempt, priority)."""
    statement = (
        f"UPDATE {_JOB} SET state = '{JobState.ACCEPTED}', accepted_at = %s, "
        "agent = %s, lease_seconds = %s, lease_expires_at = %s "
        f"WHERE {_waiting_among()} RETURNING id, attempt, priority"
    )
    ids = list(job_ids) if connection.vendor == "postgresql" else str(list(job_ids))
    held = [lease.agent, lease.seconds, timestamp(lease.expires_at)] if lease else ["", None, None]
    return fetch(statement, [timestamp(now), *held, cluster_id, ids])


def _waiting_among() -> str:
    if connection.vendor == "sqlite":
        return f"{_QUEUED} AND cluster_id = %s AND id IN (SELECT value FROM json_each(%s))"
    # An UPDATE locks its rows in the order in which it finds them, which is not the lock order.
    waiting = f"SELECT id FROM {_JOB} WHERE {_QUEUED} AND cluster_id = %s AND id = ANY(%s) ORDER BY id FOR UPDATE"
    return f"id IN (SELECT waiting.id FROM ({waiting}) waiting)"


def write_reported(rows: Sequence[Row]) -> None:
    """Writes jobs: LEASE_COLUMNS, REPORTED_COLUMNS, the output (None leaves it as it is) and the id of each."""
    columns = ", ".join(f"{column} = %s" for column in (*LEASE_COLUMNS, *REPORTED_COLUMNS))
    statement = f"UPDATE {_JOB} SET {columns}, output = COALESCE(%s, output) WHERE id = %s"
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(statement, [tuple(map(_adapted, row)) for row in rows])


def _adapted(value: Any) -> Any:
    return timestamp(value) if isinstance(value, datetime) else value
