"""Reading jobs that wait, jobs by their ids, and clusters that report."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import connection, models

from clusters.models import Cluster, Credential, Project
from clusters.sql.cursors import vendor
from clusters.sql.moments import timestamp
from jobs.models import MAX_ID, Job, JobCount, Queue, Serves
from jobs.sight import Sight
from jobs.sql.statements import Names, Place, Row, Statement, among_ids, fetch, ids_as_value, of_many, quoted
from jobs.states import UNTAKEN, JobState

_JOB = Job._meta.db_table
_CLUSTER = Cluster._meta.db_table
_CREDENTIAL = Credential._meta.db_table
_PROJECT = Project._meta.db_table
_USER = User._meta.db_table
_COUNT = JobCount._meta.db_table
_QUEUE = Queue._meta.db_table
_SERVES = Serves._meta.db_table
_QUEUES_OF = f"SELECT id FROM {_QUEUE} WHERE cluster_id = %s"
# SQLite takes up to 500 SELECTs in one statement; so many are soon compiled.
_RANGES = 64
# What is shown of other tables with a job j.
_SHOWN_NAMES = "c.name, p.name, k.id, k.label, u.username, r.name"
_WITH_NAMES = (
    f"FROM {_JOB} j JOIN {_CLUSTER} c ON c.id = j.cluster_id LEFT JOIN {_CLUSTER} p ON p.id = j.taken_from_id "
    f"LEFT JOIN {_CREDENTIAL} k ON k.id = j.submitted_by_id LEFT JOIN {_USER} u ON u.id = j.owner_id "
    f"LEFT JOIN {_PROJECT} r ON r.id = j.project_id"
)
_DOCUMENTS, _TEXTS = (
    frozenset(field.column for field in Job._meta.local_concrete_fields if isinstance(field, kind))
    for kind in (models.JSONField, models.TextField)
)
_QUEUED = f"state = '{JobState.QUEUED}'"
# What the condition of its index says of a column, where that is not that there is one.
_THERE = {"group": "> 0"}


def queued_counts(cluster_ids: Iterable[int]) -> Statement:
    """(cluster_id, priority, jobs) of what waits in these clusters."""
    places = ",".join(["%s"] * len(ids := list(cluster_ids)))
    statement = (
        f"SELECT cluster_id, priority, SUM(jobs) FROM {_COUNT} "
        f"WHERE {_QUEUED} AND cluster_id IN ({places}) GROUP BY cluster_id, priority"
    )
    return Statement(statement, ids)


def oldest_queued(cluster_ids: Sequence[int]) -> list[Row]:
    """(cluster_id, submitted_at) of each cluster's oldest waiting job: one read of the head of an index for each.

    The bounds are rows, because with single columns PostgreSQL does not see that they lead the order, and may
    walk an index in which other clusters' jobs come first.
    """
    row, order = "(j.cluster_id, j.state, j.id)", "j.cluster_id, j.state, j.id"
    oldest = (
        f"SELECT j.submitted_at FROM {_JOB} j WHERE {row} >= (c.id, '{JobState.QUEUED}', 0) "
        f"AND {row} <= (c.id, '{JobState.QUEUED}', {MAX_ID}) ORDER BY {order} LIMIT 1"
    )
    places = ",".join(["%s"] * len(cluster_ids))
    return fetch(f"SELECT c.id, ({oldest}) FROM {_CLUSTER} c WHERE c.id IN ({places})", cluster_ids)


def range_of_jobs(
    owner: Mapping[str, int], state: JobState, ids: tuple[int, int], *, alone: bool
) -> tuple[str, list[Any]]:
    """The condition, with its values, for a range of an index: an owner's jobs in one state, the first to the last id.

    On PostgreSQL the bounds are rows, as in oldest_queued: in search of a rare state it may else walk the primary key.
    It cannot tell how few jobs lie between such bounds, though, which matters where there are further conditions; so
    rows bound only what stands `alone`. SQLite would read on past them, and uses the index by single columns.
    """
    names = [f"{_JOB}.{quoted([name])}" for name in (*owner, "state", "id")]
    # Some indexes leave out jobs without an owner, which PostgreSQL cannot tell from a comparison of rows.
    there = "".join(f"{_JOB}.{quoted([name])} {_THERE.get(name, 'IS NOT NULL')} AND " for name in owner)
    fixed = [*owner.values(), state.value]
    if vendor() == "sqlite" or not alone:
        equal = " AND ".join(f"{name} = %s" for name in names[:-1])
        return f"{there}{equal} AND {names[-1]} BETWEEN %s AND %s", [*fixed, *ids]
    row, places = ", ".join(names), ", ".join(["%s"] * len(names))
    return f"{there}({row}) BETWEEN ({places}) AND ({places})", [*fixed, ids[0], *fixed, ids[1]]


def ids_in_ranges(
    owners: Sequence[Mapping[str, int]],
    states: Sequence[JobState],
    ids: tuple[int, int],
    *,
    oldest_first: bool,
    limit: int,
) -> list[int]:
    """The first ids of each range of an index (range_of_jobs), in no order."""
    ranges = [(owner, range_of_jobs(owner, state, ids, alone=True)) for owner, state in product(owners, states)]
    found: list[int] = []
    for start in range(0, len(ranges), _RANGES):
        some = ranges[start : start + _RANGES]
        heads = (_head_of(owner, condition, oldest_first=oldest_first) for owner, (condition, _) in some)
        values = [value for _, (_, fixed) in some for value in (*fixed, limit)]
        found += (job_id for (job_id,) in fetch(" UNION ALL ".join(heads), values))
    return found


def _head_of(owner: Mapping[str, int], condition: str, *, oldest_first: bool) -> str:
    order = ", ".join(f"{quoted([name])}{'' if oldest_first else ' DESC'}" for name in (*owner, "state", "id"))
    return f"SELECT id FROM (SELECT id FROM {_JOB} WHERE {condition} ORDER BY {order} LIMIT %s) r"


def jobs_by_id(ids: Sequence[int], *, columns: Sequence[str]) -> list[Row]:
    """These columns of the jobs, in any order."""
    places = ",".join(["%s"] * len(ids))
    return fetch(f"SELECT {', '.join(columns)} FROM {_JOB} WHERE id IN ({places})", ids)


def found_rows(ids: Sequence[int], *, columns: Sequence[str], sight: Sight | None) -> list[Row]:
    """These columns of those of the jobs that are within sight (None: all), in any order.

    Then the names of the cluster and of the pool that it took the job from, the id and the label of the credential that
    the job was submitted with, and the names of its owner and its project.
    """
    condition, values = _among(ids, sight)
    return fetch(_found_statement(tuple(columns), condition), values)


# A server reads few sets of columns, in requests of as many ids as their callers like.
@lru_cache(maxsize=1_000)
def _found_statement(columns: Names, condition: str) -> str:
    return f"SELECT {_of_job(columns)}, {_SHOWN_NAMES} {_WITH_NAMES} WHERE {condition}"


class Listed(NamedTuple):
    """Columns of jobs, in an array in JSON for each job, with times and JSON in text."""

    ids: Sequence[int]
    alike: Sequence[str]
    own: Sequence[str]
    # With the names that found_rows has.
    changing: Sequence[str]


def listed_jobs(ids: Sequence[int], *, alike: Names, own: Names, changing: Names, most_bytes: int) -> Listed:
    """Those of the jobs that are there, in the order of the ids, which rise or fall: the first, and further ones while
    those before have fewer bytes together.

    What is `alike` has the same values in many jobs.
    """
    if not ids:
        return Listed((), (), (), ())
    parts, last_first = (alike, own, changing), ids[0] > ids[-1]
    # To fetch a value takes three times as long as to write and read it in an array.
    if vendor() == "postgresql":
        rows = fetch(_listed_while_they_fit(parts, len(ids), last_first=last_first), [*ids, most_bytes])
    else:
        with connection.cursor() as cursor:
            cursor.execute(_listed(parts, len(ids), last_first=last_first), ids)
            # SQLite reads a row when it is asked for it.
            rows = list(_first_of(cursor, most_bytes))
    return Listed(*zip(*rows, strict=True)) if rows else Listed((), (), (), ())


def _first_of(rows: Iterable[Row], most_bytes: int) -> Iterator[Row]:
    size = 0
    for row in rows:
        yield row
        size += len(row[1]) + len(row[2])
        if size >= most_bytes:
            return


@lru_cache(maxsize=1_000)
def _listed(parts: tuple[Names, ...], number: int, *, last_first: bool) -> str:
    return f"{_shown_arrays(parts)} {_WITH_NAMES} WHERE {_in(number)} ORDER BY j.id{' DESC' * last_first}"


@lru_cache(maxsize=1_000)
def _listed_while_they_fit(parts: tuple[Names, ...], number: int, *, last_first: bool) -> str:
    order = f"ORDER BY j.id{' DESC' * last_first}"
    size = bytes_in(name for names in parts[:-1] for name in names if name in _DOCUMENTS | _TEXTS)
    before = f"SELECT j.id AS fits, SUM({size}) OVER ({order}) - ({size}) AS bytes FROM {_JOB} j WHERE {_in(number)}"
    return f"{_shown_arrays(parts)} {_WITH_NAMES} JOIN ({before}) before ON before.fits = j.id WHERE bytes < %s {order}"


def _shown_arrays(parts: Sequence[Names]) -> str:
    *fixed, changing = parts
    return f"SELECT j.id, {', '.join(_array(_as_texts(names)) for names in fixed)}, {version_in(changing)}"


def _as_texts(columns: Names) -> str:
    """SQLite has JSON as text."""
    if vendor() == "sqlite":
        return _of_job(columns)
    return ", ".join(f"{_of_job([name])}{'::text' * (name in _DOCUMENTS)}" for name in columns)


def _array(values: str) -> str:
    array = "json_array" if vendor() == "sqlite" else "json_build_array"
    return f"CAST({array}({values}) AS TEXT)"


def versions_of_jobs(ids: Sequence[int], *, columns: Sequence[str]) -> dict[int, str]:
    """By id a text that differs as soon as one of these columns, or a name that is shown with the job, does."""
    among, values = _among(ids, None)
    return dict(fetch(f"SELECT j.id, {version_in(columns)} {_WITH_NAMES} WHERE {among}", values))


def version_in(columns: Sequence[str]) -> str:
    return _array(f"{_of_job(columns)}, {_SHOWN_NAMES}")


def _of_job(columns: Iterable[str]) -> str:
    return ", ".join(f"j.{quoted([name])}" for name in columns)


def sizes_of_jobs(ids: Sequence[int], *, columns: Sequence[str], sight: Sight | None) -> dict[int, int]:
    """How many bytes each of these jobs has in these columns, by id."""
    condition, values = _among(ids, sight)
    return dict(fetch(f"SELECT id, {bytes_in(columns)} FROM {_JOB} j WHERE {condition}", values))


def size_of_jobs(ids: Sequence[int], *, columns: Sequence[str], sight: Sight | None) -> tuple[int, int]:
    """How many of these jobs there are, and how many bytes they have together in these columns."""
    condition, values = _among(ids, sight)
    together = f"COALESCE(SUM({bytes_in(columns)}), 0)"
    [(jobs, size)] = fetch(f"SELECT COUNT(*), {together} FROM {_JOB} j WHERE {condition}", values)
    return jobs, int(size)


def _among(ids: Sequence[int], sight: Sight | None) -> tuple[str, list[int]]:
    among = _in(len(ids))
    if sight is None:
        return among, list(ids)
    condition, values = sight.condition("j")
    return f"{among} AND {condition}", [*ids, *values]


def _in(number: int) -> str:
    return f"j.id IN ({','.join(['%s'] * number)})"


def bytes_in(columns: Iterable[str]) -> str:
    """The size of what a job has in these columns. The database counts it where it lies, and sends none of it."""
    counted = "LENGTH(CAST({} AS BLOB))" if vendor() == "sqlite" else "OCTET_LENGTH({}::text)"
    return " + ".join(f"COALESCE({counted}, 0)".format(quoted([column])) for column in columns)


def rank(cluster_id: int, place: Place) -> int:
    """The place of a waiting job among those of its cluster, from 1. Costs more the more are before it."""
    priority, turn, job_id = place
    tests = ("priority > %s", "priority = %s AND turn < %s", "priority = %s AND turn = %s AND id <= %s")
    counts = (
        f"(SELECT COUNT(*) FROM {_JOB} WHERE {_QUEUED} AND queue_id IN ({_QUEUES_OF}) AND {one})" for one in tests
    )
    of_each = ([priority], [priority, turn], [priority, turn, job_id])
    values = [value for some in of_each for value in (cluster_id, *some)]
    return int(fetch(f"SELECT {' + '.join(counts)}", values)[0][0])


def waiting_unserved(*, at_most: int) -> list[Row]:
    """(cluster or pool, jobs) of each queue with jobs that no cluster serves; of each as many are counted."""
    counted = f"SELECT 1 FROM {_JOB} j WHERE j.queue_id = q.id AND j.{_QUEUED} LIMIT %s"
    served = f"SELECT 1 FROM {_SERVES} s WHERE s.queue_id = q.id"
    statement = (
        f"SELECT q.cluster_id, (SELECT COUNT(*) FROM ({counted}) counted) FROM {_QUEUE} q WHERE NOT EXISTS ({served})"
    )
    return fetch(statement, [at_most])


# A turn in the cluster or pool c.
_HERE = "(CASE WHEN c.id = %s THEN %s ELSE 0 END)"


def jobs_before(cluster_ids: Sequence[int], home: int, place: Place, *, at_most: int) -> list[Row]:
    """(cluster_id, jobs of a higher priority, earlier jobs of the same) that wait in each of these clusters and pools.

    The higher are summed from the counts; the earlier are counted, no further than `at_most` in each. Turns compare
    with those of the job's own `home` alone: of another that has turns none is counted.
    """
    priority, turn, job_id = place
    higher = f"SELECT SUM(n.jobs) FROM {_COUNT} n WHERE n.cluster_id = c.id AND n.{_QUEUED} AND n.priority > %s"
    queues = f"SELECT q.id FROM {_QUEUE} q WHERE q.cluster_id = c.id"
    queued = of_many(f"j.{_QUEUED}")
    waiting = f"SELECT 1 FROM {_JOB} j WHERE j.queue_id IN ({queues}) AND {queued} AND j.priority = %s"
    same = f"SELECT * FROM ({waiting} AND j.turn = {_HERE} AND j.id < %s LIMIT %s) same"
    earlier = f"SELECT * FROM ({waiting} AND j.turn < {_HERE} LIMIT %s) earlier"
    counted = f"SELECT COUNT(*) FROM (SELECT * FROM ({same} UNION ALL {earlier}) both_of LIMIT %s) counted"
    places = ",".join(["%s"] * len(cluster_ids))
    statement = f"SELECT c.id, ({higher}), ({counted}) FROM {_CLUSTER} c WHERE c.id IN ({places})"
    here = [priority, home, turn]
    return fetch(statement, [priority, *here, job_id, at_most, *here, at_most, at_most, *cluster_ids])


def cluster_id_of(name: str) -> int | None:
    """Of a cluster or pool."""
    return next((found for (found,) in fetch(f"SELECT id FROM {_CLUSTER} WHERE name = %s", [name])), None)


def some_have_expired(now: datetime) -> bool:
    """Whether jobs still wait or are blocked by now that expired."""
    # In its order, which its index has: for one in any order PostgreSQL may walk the table, where all may have expired
    # that wait no longer.
    waits = (of_many(f"state = '{state}'") for state in UNTAKEN)
    first = (
        f"SELECT expires_at FROM {_JOB} WHERE {one} AND expires_at <= %s ORDER BY expires_at LIMIT 1" for one in waits
    )
    some = " OR ".join(f"({one}) IS NOT NULL" for one in first)
    return bool(fetch(f"SELECT {some}", [timestamp(now)] * len(UNTAKEN))[0][0])


def reasons_not_ready(cluster_ids: Iterable[int]) -> dict[int, str]:
    """Why these clusters take no jobs now, as their agents said last; empty where they do."""
    return dict(fetch(f"SELECT id, not_ready FROM {_CLUSTER} WHERE id {among_ids()}", [ids_as_value(cluster_ids)]))
