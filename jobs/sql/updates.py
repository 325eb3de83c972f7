"""UPDATEs and locks of jobs."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.auth.models import User

from clusters.models import Cluster, Grant, Membership, Project
from clusters.sql.cursors import open_cursor, vendor
from clusters.sql.moments import timestamp
from jobs.leases import Lease
from jobs.models import Job, Queue, Serves
from jobs.sight import Sight
from jobs.sql.instances import instances
from jobs.sql.queues import QUEUED_BY_ID
from jobs.sql.statements import Row, among_ids, fetch, ids_as_value, quoted, run
from jobs.states import JobState

_JOB = Job._meta.db_table
_QUEUE = Queue._meta.db_table
_CLUSTER = Cluster._meta.db_table
_SERVES = Serves._meta.db_table
_GRANT = Grant._meta.db_table
_MEMBERSHIP = Membership._meta.db_table
_PROJECT = Project._meta.db_table
_USER = User._meta.db_table
_QUEUED = f"state = '{JobState.QUEUED}'"
# Ids in a statement; SQLite takes at most 32,766 values.
_PART = 10_000
REPORTED_COLUMNS = (
    "state", "agent", "native_id", "exit_code", "end_cause", "reason", "started_at", "finished_at", "lost_at",
)  # fmt: skip
LEASE_COLUMNS = ("lease_seconds", "lease_expires_at")


class Locked(NamedTuple):
    id: int
    attempt: int
    priority: int
    cluster_id: int
    owner_id: int | None
    project_id: int | None
    nodes: int
    queue_id: int
    turn: int
    state: str
    group: int
    agent: str


def lock_jobs(cluster_ids: Sequence[int], job_ids: Iterable[int]) -> dict[int, Locked]:
    """Those of the jobs that are in these clusters, or in queues that they serve, locked in the order of their ids.

    Until the commit, for transactions that run several statements on jobs: the lock order (docs/development.md). On
    SQLite a writing transaction is alone.
    """
    among = among_ids()
    mine = f"cluster_id {among} OR queue_id IN (SELECT queue_id FROM {_SERVES} WHERE cluster_id {among})"
    lock = "FOR UPDATE" if vendor() == "postgresql" else ""
    statement = f"SELECT {quoted(Locked._fields)} FROM {_JOB} WHERE id {among} AND ({mine}) ORDER BY id {lock}"
    given, own = ids_as_value(sorted(set(job_ids))), ids_as_value(cluster_ids)
    return {row[0]: Locked(*row) for row in fetch(statement, [given, own, own])}


def lock_to_report(cluster_ids: Collection[int], job_ids: Iterable[int], columns: Sequence[str]) -> list[Job]:
    """Those of the jobs that are in these clusters, with these columns, locked in the order of their ids.

    Every report of an agent begins with it: to compile the query anew would take as long as all the rest of the report.
    """
    among = among_ids()
    lock = "FOR UPDATE" if vendor() == "postgresql" else ""
    # The sum keeps the index of clusters out: the ids are few.
    mine = f"id {among} AND cluster_id + 0 {among}"
    statement = f"SELECT {quoted(columns)} FROM {_JOB} WHERE {mine} ORDER BY id {lock}"
    return instances(Job, columns, fetch(statement, [ids_as_value(job_ids), ids_as_value(cluster_ids)]))


def in_parts(job_ids: Iterable[int]) -> Iterator[list[int]]:
    """The ids in their order, as many at a time as a statement takes."""
    ids = sorted(job_ids)
    return (ids[start : start + _PART] for start in range(0, len(ids), _PART))


class Take(NamedTuple):
    """A job, and the lease under which it is taken; None without an agent."""

    job_id: int
    lease: Lease | None


def take_locked(takes: Sequence[Take], *, now: datetime) -> None:
    """Accepts jobs that wait in the clusters that take them, and that are locked."""
    if vendor() == "postgresql":
        held = [_held(lease) for _, lease in takes]
        arrays = [[job_id for job_id, _ in takes], *map(list, zip(*held, strict=True))]
        taken = run(_TAKE_ARRAYS, [timestamp(now), *arrays])
    else:
        by_lease: dict[Lease | None, list[int]] = {}
        for job_id, lease in takes:
            by_lease.setdefault(lease, []).append(job_id)
        taken = sum(run(_TAKE, [timestamp(now), *_held(lease), str(ids)]) for lease, ids in by_lease.items())
    if taken != len(takes):
        raise RuntimeError(f"{len(takes)} jobs were locked, but {taken} of them wait")


def _held(lease: Lease | None) -> tuple[str, int | None, Any]:
    return (lease.agent, lease.seconds, timestamp(lease.expires_at)) if lease else ("", None, None)


_TAKEN = f"UPDATE {_JOB} SET state = '{JobState.ACCEPTED}', reason = '', taken_from_id = NULL, accepted_at = %s"
_TAKE = (
    f"{_TAKEN}, agent = %s, lease_seconds = %s, lease_expires_at = %s "
    f"WHERE {QUEUED_BY_ID} AND id IN (SELECT value FROM json_each(%s))"
)
_TAKE_ARRAYS = (
    f"{_TAKEN}, agent = t.agent, lease_seconds = t.seconds, lease_expires_at = t.expires_at "
    "FROM unnest(%s::int[], %s::text[], %s::int[], %s::timestamptz[]) t(id, agent, seconds, expires_at) "
    f"WHERE {_JOB}.id = t.id AND {QUEUED_BY_ID}"
)


def take_jobs(
    cluster_id: int, job_ids: Sequence[int], *, lease: Lease | None, within: Sight | None = None, now: datetime
) -> list[Row]:
    """Accepts those of the jobs that wait, and whose submitters may still use what they were submitted to.
    Only those `within`, if that is said.

    Returns their (id, attempt, priority, the cluster or pool they waited in, owner, project, nodes, queue, turn,
    group). With a lease, also of the queues that the cluster serves, once it is its turn there.
    """
    further, owners = within.condition(_JOB) if within else ("TRUE", [])
    statement = (
        f"UPDATE {_JOB} SET state = '{JobState.ACCEPTED}', reason = '', accepted_at = %s, "
        "agent = %s, lease_seconds = %s, lease_expires_at = %s, cluster_id = %s, "
        "taken_from_id = CASE WHEN cluster_id = %s THEN NULL ELSE cluster_id END, "
        "submitted_to_id = CASE WHEN cluster_id = %s THEN submitted_to_id "
        "ELSE COALESCE(submitted_to_id, cluster_id) END "
        f"WHERE {_waiting_among(further, shared=lease is not None)} "
        "RETURNING id, attempt, priority, COALESCE(taken_from_id, cluster_id), owner_id, project_id, nodes, "
        'queue_id, turn, "group"'
    )
    held = [lease.agent, lease.seconds, timestamp(lease.expires_at)] if lease else ["", None, None]
    mine: list[object] = [cluster_id, cluster_id, timestamp(now)] if lease else [cluster_id]
    return fetch(statement, [timestamp(now), *held, *[cluster_id] * 3, *mine, *owners, ids_as_value(job_ids)])


def takeable_of_people(
    cluster_id: int, job_ids: Sequence[int], *, shared: bool, within: Sight | None = None, now: datetime
) -> list[Row]:
    """(id, owner, project, nodes) of those that `take_jobs` would take and that people submitted. `shared`: a lease."""
    further, owners = within.condition(_JOB) if within else ("TRUE", [])
    statement = (
        f"SELECT id, owner_id, project_id, nodes FROM {_JOB} "
        f"WHERE {_waiting_among(further, shared=shared)} AND project_id IS NOT NULL"
    )
    mine: list[object] = [cluster_id, cluster_id, timestamp(now)] if shared else [cluster_id]
    return fetch(statement, [*mine, *owners, ids_as_value(job_ids)])


def _waiting_among(further: str, *, shared: bool) -> str:
    mine = f"(cluster_id = %s OR EXISTS ({_ITS_TURN[vendor()]}))" if shared else "cluster_id = %s"
    mine = f"{mine} AND {IN_REACH} AND {further}"
    if vendor() == "sqlite":
        return f"{_QUEUED} AND {mine} AND id IN (SELECT value FROM json_each(%s))"
    # An UPDATE locks its rows in the order in which it finds them, which is not the lock order.
    waiting = f"SELECT id FROM {_JOB} WHERE {_QUEUED} AND {mine} AND id = ANY(%s) ORDER BY id FOR UPDATE"
    return f"id IN (SELECT waiting.id FROM ({waiting}) waiting)"


# Of a job of people: that they may still use what it was submitted to.
IN_REACH = f"""
    ({_JOB}.project_id IS NULL OR EXISTS (
        SELECT 1 FROM {_PROJECT} r JOIN {_GRANT} g ON g.project_id = r.id
        LEFT JOIN {_MEMBERSHIP} m ON m.project_id = r.id AND m.person_id = {_JOB}.owner_id
        LEFT JOIN {_USER} u ON u.id = m.person_id
        WHERE r.id = {_JOB}.project_id AND r.closed_at IS NULL
          AND g.cluster_id = COALESCE({_JOB}.submitted_to_id, {_JOB}.cluster_id)
          AND ({_JOB}.owner_id IS NULL OR u.is_active)
    ))
"""
# When a job may go to a cluster that is behind others.
_DUE = {
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', submitted_at, '+' || s.after_seconds || ' seconds') "
    "<= strftime('%%Y-%%m-%%d %%H:%%M:%%f', %s)",
    "postgresql": "submitted_at + s.after_seconds * INTERVAL '1 second' <= %s",
}
# Jobs that a cluster gave back are in queues that it does not serve, but for the mixed ones.
_NOT_GIVEN_BACK = {
    "sqlite": "json_extract(given_back, '$.\"' || s.cluster_id || '\"') IS NULL",
    "postgresql": "NOT jsonb_exists(given_back, s.cluster_id::text)",
}
_ITS_TURN = {
    vendor: f"SELECT 1 FROM {_SERVES} s JOIN {_QUEUE} q ON q.id = s.queue_id JOIN {_CLUSTER} c ON c.id = q.cluster_id "
    f"WHERE s.queue_id = {_JOB}.queue_id AND s.cluster_id = %s AND c.paused_at IS NULL "
    f"AND (s.after_seconds = 0 OR {due}) AND {_NOT_GIVEN_BACK[vendor]}"
    for vendor, due in _DUE.items()
}


def renew_leases(lease: Row, job_ids: Iterable[int]) -> None:
    """`lease`: LEASE_COLUMNS."""
    columns = ", ".join(f"{column} = %s" for column in LEASE_COLUMNS)
    run(f"UPDATE {_JOB} SET {columns} WHERE id {among_ids()}", [*map(_adapted, lease), ids_as_value(job_ids)])


def write_reported(rows: Sequence[Row]) -> None:
    """Writes jobs: LEASE_COLUMNS, REPORTED_COLUMNS, the output and what files there are, in JSON (None leaves them as
    they are), and the id of each.
    """
    columns = ", ".join(f"{column} = %s" for column in (*LEASE_COLUMNS, *REPORTED_COLUMNS))
    statement = f"UPDATE {_JOB} SET {columns}, output = COALESCE(%s, output), "
    statement += "output_files = COALESCE(%s, output_files) WHERE id = %s"
    if rows:
        with open_cursor() as cursor:
            cursor.executemany(statement, [tuple(map(_adapted, row)) for row in rows])


class Retried(NamedTuple):
    """A job whose next attempt is due at a time; no output leaves it as it is."""

    retry_at: datetime
    retries: int
    cluster_id: int
    attempt: int
    reason: str
    output: str | None
    job_id: int


_RETRY = (
    f"UPDATE {_JOB} SET state = '{JobState.BLOCKED}', unmet = 1, queue_id = NULL, taken_from_id = NULL, agent = '', "
    "native_id = '', accepted_at = NULL, started_at = NULL, lost_at = NULL, lease_seconds = NULL, "
    "lease_expires_at = NULL, retry_at = %s, retries = %s, cluster_id = %s, attempt = %s, reason = %s, "
    "output = COALESCE(%s, output), output_files = NULL WHERE id = %s"
)


def write_retried(rows: Sequence[Retried]) -> None:
    """Blocks jobs, which the caller has locked, until they are tried again."""
    if rows:
        with open_cursor() as cursor:
            cursor.executemany(_RETRY, [tuple(map(_adapted, row)) for row in rows])


def _adapted(value: Any) -> Any:
    return timestamp(value) if isinstance(value, datetime) else value
