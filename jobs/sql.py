"""The hot statements of the queue, one each, as plain SQL built from the models' own names.

docs/decisions/0003-plain-sql.md says why. Both databases run the same tests.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from typing import Any

from django.db import connection, models

from clusters.models import Cluster, Streak
from jobs.leases import Lease
from jobs.models import MAX_ID, Job, JobActivity, JobCount, JobEvent, JobLabel
from jobs.states import JobState, Span

# The rows of an INSERT: for each column its values, in the order of the rows.
Columns = Mapping[str, Sequence[Any]]
Row = tuple[Any, ...]
Names = tuple[str, ...]

_JOB = Job._meta.db_table
_CLUSTER = Cluster._meta.db_table
_LABEL = JobLabel._meta.db_table
_COUNT = JobCount._meta.db_table
_ACTIVITY = JobActivity._meta.db_table
_STREAK = Streak._meta.db_table
_QUEUED = f"state = '{JobState.QUEUED}'"

# SQLite takes at most 32,766 values in a statement; 256 rows also keep it quick to compile.
_VALUES_ROWS = 256
# Ids in a statement, well within that.
_PART = 10_000
# PostgreSQL takes arrays faster than long lists of values, and a few values faster than arrays.
_FEW_ROWS = 8
# On PostgreSQL a writer adds to one of these, so that commits seldom wait for each other's counts.
_SLOTS = 16

REPORTED_COLUMNS = ("state", "agent", "native_id", "exit_code", "reason", "started_at", "finished_at", "lost_at")
LEASE_COLUMNS = ("lease_seconds", "lease_expires_at")


def insert_jobs(columns: Columns) -> list[Row]:
    """Adds jobs and returns (id, cluster_id, idempotency_key) of each, in their order.

    A row whose key is taken in its cluster is left out.
    """
    further = (
        "ON CONFLICT ((COALESCE(submitted_to_id, cluster_id)), idempotency_key) WHERE idempotency_key IS NOT NULL "
        "DO NOTHING "
        "RETURNING id, cluster_id, idempotency_key"
    )
    # Ids rise in the order of insertion; the order in which RETURNING lists them is not promised.
    return sorted(_insert(Job, columns, further), key=lambda row: row[0])


def insert_whole_jobs(columns: Columns) -> list[int]:
    """Adds jobs in any state and returns their ids in their order."""
    return sorted(row[0] for row in _insert(Job, columns, "RETURNING id"))


def insert_events(columns: Columns) -> None:
    _insert(JobEvent, columns)


def insert_labels(labeled: Iterable[tuple[int, Mapping[str, str]]]) -> None:
    """Adds the labels of each job, by its id."""
    rows = [(job_id, key, value) for job_id, labels in labeled for key, value in labels.items()]
    columns: Columns = {
        "job_id": [job_id for job_id, _, _ in rows],
        "key": [key for _, key, _ in rows],
        "value": [value for _, _, value in rows],
    }
    _insert(JobLabel, columns)


def add_counts(changes: Mapping[tuple[int, str, int], int]) -> None:
    """Adds to the counts by (cluster_id, state, priority).

    In the lock order (docs/development.md): by key, once in a transaction, and last.
    """
    changed = sorted((key, jobs) for key, jobs in changes.items() if jobs)
    columns: Columns = {
        "cluster_id": [cluster_id for (cluster_id, _, _), _ in changed],
        "state": [state for (_, state, _), _ in changed],
        "priority": [priority for (_, _, priority), _ in changed],
        "slot": [_slot()] * len(changed),
        "jobs": [jobs for _, jobs in changed],
    }
    further = f"ON CONFLICT (cluster_id, state, priority, slot) DO UPDATE SET jobs = {_COUNT}.jobs + excluded.jobs"
    _insert(JobCount, columns, further)


def add_activity(changes: Mapping[tuple[int, str], int], now: datetime) -> None:
    """Adds to the activity by (cluster_id, what) around this time, in the lock order: by key, after the counts."""
    totals: dict[tuple[Span, datetime, int, str], int] = {}
    for span in Span:
        began_at = beginning(span, now)
        totals |= {(span, began_at, cluster_id, what): jobs for (cluster_id, what), jobs in changes.items()}
    add_activity_totals(totals, slot=_slot())


def add_activity_totals(totals: Mapping[tuple[Span, datetime, int, str], int], *, slot: int = 0) -> None:
    """Adds to the activity by (span, began_at, cluster_id, what), in the order of these."""
    ordered = sorted(totals.items())
    columns: Columns = {
        "span_seconds": [span.value for (span, _, _, _), _ in ordered],
        "began_at": [timestamp(began_at) for (_, began_at, _, _), _ in ordered],
        "cluster_id": [cluster_id for (_, _, cluster_id, _), _ in ordered],
        "what": [what for (_, _, _, what), _ in ordered],
        "slot": [slot] * len(ordered),
        "jobs": [jobs for _, jobs in ordered],
    }
    further = (
        "ON CONFLICT (span_seconds, began_at, cluster_id, what, slot) "
        f"DO UPDATE SET jobs = {_ACTIVITY}.jobs + excluded.jobs"
    )
    _insert(JobActivity, columns, further)


def beginning(span: Span, now: datetime) -> datetime:
    """When the stretch of this length began that `now` lies in; stretches are counted from 1970, in UTC."""
    seconds = int(now.timestamp())
    return datetime.fromtimestamp(seconds - seconds % span.value, UTC)


def _slot() -> int:
    return threading.get_native_id() % _SLOTS if connection.vendor == "postgresql" else 0


def queued_counts(cluster_ids: Iterable[int]) -> list[Row]:
    """(cluster_id, priority, jobs) of what waits in these clusters."""
    places = ",".join(["%s"] * len(ids := list(cluster_ids)))
    statement = (
        f"SELECT cluster_id, priority, SUM(jobs) FROM {_COUNT} "
        f"WHERE {_QUEUED} AND cluster_id IN ({places}) GROUP BY cluster_id, priority"
    )
    return _fetch(statement, ids)


def oldest_queued(cluster_ids: Sequence[int]) -> list[Row]:
    """(cluster_id, submitted_at) of each cluster's oldest waiting job: one look at the head of an index for each.

    The bounds are rows, because where single columns are given PostgreSQL forgets that they lead the order, and may
    walk an index that other clusters' jobs come first in.
    """
    row, order = "(j.cluster_id, j.state, j.id)", "j.cluster_id, j.state, j.id"
    oldest = (
        f"SELECT j.submitted_at FROM {_JOB} j WHERE {row} >= (c.id, '{JobState.QUEUED}', 0) "
        f"AND {row} <= (c.id, '{JobState.QUEUED}', {MAX_ID}) ORDER BY {order} LIMIT 1"
    )
    places = ",".join(["%s"] * len(cluster_ids))
    return _fetch(f"SELECT c.id, ({oldest}) FROM {_CLUSTER} c WHERE c.id IN ({places})", cluster_ids)


def range_of_jobs(
    owner: Mapping[str, int], state: JobState, ids: tuple[int, int], *, alone: bool
) -> tuple[str, list[Any]]:
    """The condition, with its values, for a range of an index: an owner's jobs in one state, the first to the last id.

    On PostgreSQL the bounds are rows, as in oldest_queued: in search of a rare state it may else walk the primary key.
    It cannot tell how few jobs lie between such bounds, though, which matters where there are further conditions; so
    rows bound only what stands `alone`. SQLite would read on past them, and finds its way by single columns.
    """
    names = [f"{_JOB}.{name}" for name in (*owner, "state", "id")]
    fixed = [*owner.values(), state.value]
    if connection.vendor == "sqlite" or not alone:
        equal = " AND ".join(f"{name} = %s" for name in names[:-1])
        return f"{equal} AND {names[-1]} BETWEEN %s AND %s", [*fixed, *ids]
    row, places = ", ".join(names), ", ".join(["%s"] * len(names))
    return f"({row}) BETWEEN ({places}) AND ({places})", [*fixed, ids[0], *fixed, ids[1]]


def queued_jobs(
    cluster_id: int,
    *,
    limit: int,
    at_most: Mapping[str, int],
    labels: Mapping[str, str],
    after: tuple[int, int] | None,
    columns: Sequence[str],
) -> list[Row]:
    """These columns of the next jobs of a cluster's queue, after this (priority, id).

    `at_most` bounds columns; a time limit that was not said is 0 and so within any bound. Jobs that are held back are
    left out.
    """
    held = f"SELECT credential_id FROM {_STREAK} WHERE cluster_id = %s AND held_at IS NOT NULL"
    tests = [f"{_QUEUED} AND cluster_id = %s AND COALESCE(submitted_by_id, 0) NOT IN ({held})"]
    values: list[object] = [cluster_id, cluster_id]
    for name, bound in at_most.items():
        tests.append(f"{name} <= %s")
        values.append(bound)
    for item in labels.items():
        tests.append(f"EXISTS (SELECT 1 FROM {_LABEL} l WHERE l.job_id = {_JOB}.id AND key = %s AND value = %s)")
        values.extend(item)
    if after:
        tests.append("priority <= %s AND (priority < %s OR id > %s)")
        values.extend([after[0], *after])
    wanted, where = ", ".join(columns), " AND ".join(tests)
    return _fetch(f"SELECT {wanted} FROM {_JOB} WHERE {where} ORDER BY priority DESC, id LIMIT %s", [*values, limit])


def bytes_in(columns: Iterable[str]) -> str:
    """The size of what a job has in these columns. The database counts it where it lies, and sends none of it."""
    counted = "LENGTH(CAST({} AS BLOB))" if connection.vendor == "sqlite" else "OCTET_LENGTH({}::text)"
    return " + ".join(counted.format(f"{_JOB}.{column}") for column in columns)


def rank(cluster_id: int, priority: int, job_id: int) -> int:
    """The place of a waiting job in its queue, from 1. Costs more the longer the queue before it."""
    statement = (
        f"SELECT COUNT(*) FROM {_JOB} WHERE {_QUEUED} AND cluster_id = %s "
        "AND priority >= %s AND (priority > %s OR id <= %s)"
    )
    return int(_fetch(statement, [cluster_id, priority, priority, job_id])[0][0])


def jobs_before(cluster_id: int, priority: int, job_id: int, *, at_most: int) -> int:
    """How many older jobs of the same priority wait; counts no further than `at_most`."""
    older = f"SELECT 1 FROM {_JOB} WHERE {_QUEUED} AND cluster_id = %s AND priority = %s AND id < %s LIMIT %s"
    return int(_fetch(f"SELECT COUNT(*) FROM ({older}) AS older", [cluster_id, priority, job_id, at_most])[0][0])


def lock_jobs(cluster_ids: Sequence[int], job_ids: Iterable[int]) -> None:
    """Locks those of the jobs that are in these clusters until the commit, in the order of their ids.

    For transactions that run several statements on jobs: the lock order (docs/development.md). On SQLite a writing
    transaction is alone.
    """
    if connection.vendor == "postgresql":
        statement = f"SELECT 1 FROM {_JOB} WHERE id = ANY(%s) AND cluster_id = ANY(%s) ORDER BY id FOR UPDATE"
        _fetch(statement, [sorted(set(job_ids)), list(cluster_ids)])


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
    return _fetch(statement, [timestamp(now), *held, cluster_id, ids])


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


def timestamp(value: datetime) -> Any:
    """A time as this database's cursor takes it."""
    return connection.ops.adapt_datetimefield_value(value)


def _insert(model: type[models.Model], columns: Columns, further: str = "") -> list[Row]:
    rows = list(zip(*columns.values(), strict=True))
    if connection.vendor == "postgresql" and len(rows) > _FEW_ROWS:
        return _insert_arrays(model, columns, len(rows), further)
    returned: list[Row] = []
    for start in range(0, len(rows), _VALUES_ROWS):
        some = rows[start : start + _VALUES_ROWS]
        statement = _values_statement(model, tuple(columns), further, len(some))
        returned += _fetch(statement, list(chain.from_iterable(some)))
    return returned


@cache
def _values_statement(model: type[models.Model], columns: Names, further: str, rows: int) -> str:
    places = f"({','.join(['%s'] * len(columns))})"
    return f"{_into(model, columns)} VALUES {','.join([places] * rows)} {further}"


def _insert_arrays(model: type[models.Model], columns: Columns, rows: int, further: str) -> list[Row]:
    """One array a column, or one value where all rows have the same, as in most columns of most batches."""
    # The first column stays an array, since something has to tell how many rows there are.
    same = tuple(name for name in tuple(columns)[1:] if columns[name].count(columns[name][0]) == rows)
    varying = [list(values) for name, values in columns.items() if name not in same]
    statement = _arrays_statement(model, tuple(columns), same, further)
    return _fetch(statement, [*(columns[name][0] for name in same), *varying])


@cache
def _arrays_statement(model: type[models.Model], columns: Names, same: Names, further: str) -> str:
    types = {name: _column_type(model, name) for name in columns}
    varying = [name for name in columns if name not in same]
    # An array of jsonb would have to be made element by element; text serves.
    arrays = ", ".join(f"%s::{types[name].replace('jsonb', 'text')}[]" for name in varying)
    values = ", ".join(f"{'%s' if name in same else name}::{types[name]}" for name in columns)
    source = f"SELECT {values} FROM unnest({arrays}) WITH ORDINALITY AS t({', '.join(varying)}, place)"
    return f"{_into(model, columns)} {source} ORDER BY place {further}"


def _into(model: type[models.Model], columns: Names) -> str:
    return f"INSERT INTO {model._meta.db_table} ({', '.join(columns)})"


def _column_type(model: type[models.Model], column: str) -> str:
    field = next(field for field in model._meta.local_concrete_fields if field.column == column)
    return str(field.db_type(connection))


def _fetch(statement: str, values: Sequence[Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []
