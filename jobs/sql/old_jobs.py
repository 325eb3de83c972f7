"""Finding jobs that are old enough to be pruned, and deleting jobs."""

from collections.abc import Sequence
from datetime import datetime

from clusters.sql.cursors import vendor
from clusters.sql.moments import timestamp
from jobs.models import EndedParent, GroupDependency, Job, JobAttempt, JobDependency, JobEvent, JobInput, JobLabel
from jobs.sql.statements import Row, fetch, of_many
from jobs.states import JobState

_JOB = Job._meta.db_table
_DEPENDENCY = JobDependency._meta.db_table
_ACCEPTED = f"state = '{JobState.ACCEPTED}'"
# What names a job goes before it.
_OF_JOBS = (
    *((model._meta.db_table, "job_id") for model in (JobEvent, JobLabel, JobAttempt, JobInput)),
    *((model._meta.db_table, "job_id") for model in (JobDependency, GroupDependency, EndedParent)),
    (_JOB, "id"),
)
# Not while others wait for it: what its end does to them is not done yet.
_OLD = (
    'SELECT id, cluster_id, state, priority, "group" FROM {table} WHERE {test} AND {at} < %s '
    f"AND NOT EXISTS (SELECT 1 FROM {_DEPENDENCY} d WHERE d.parent_id = {_JOB}.id) "
    "ORDER BY {at} LIMIT %s {lock}"
)


def jobs_that_ended(*, before: datetime, limit: int) -> list[Row]:
    """(id, cluster_id, state, priority, group) of the jobs that ended first, before a time.

    Locks them, but waits for none.
    """
    return _old("finished_at IS NOT NULL", "finished_at", before, limit)


def jobs_handed_over(*, before: datetime, limit: int) -> list[Row]:
    """The same of the jobs that were handed over for good: accepted without an agent's name."""
    return without_parents(_old(_handed_over(), "accepted_at", before, limit))


def _handed_over() -> str:
    return f"{of_many(_ACCEPTED)} AND agent = ''"


def without_parents(rows: Sequence[Row]) -> list[Row]:
    """Those of the jobs, which the caller has locked, for which no others wait.

    On PostgreSQL a submission that names one may have been committed after the statement began that found and locked
    it. While they are locked none can.
    """
    ids = [row[0] for row in rows]
    if not ids or vendor() != "postgresql":
        return list(rows)
    waited_for = fetch(f"SELECT DISTINCT parent_id FROM {_DEPENDENCY} WHERE parent_id = ANY(%s)", [ids])
    return [row for row in rows if (row[0],) not in waited_for]


def note_ends_of_handed_over(*, before: datetime, limit: int) -> None:
    """Of those of them for which others wait: how they end will not be known.

    Locks them, so that none is deleted before this is committed, and passes over those that others have locked.
    """
    waited_for = f"EXISTS (SELECT 1 FROM {_DEPENDENCY} d WHERE d.parent_id = {_JOB}.id)"
    lock = "FOR KEY SHARE SKIP LOCKED" if vendor() == "postgresql" else ""
    old = f"{_handed_over()} AND accepted_at < %s"
    fetch(
        f"INSERT INTO {EndedParent._meta.db_table} (job_id) SELECT id FROM {_JOB} "
        f"WHERE {old} AND {waited_for} ORDER BY accepted_at LIMIT %s {lock} "
        "ON CONFLICT DO NOTHING",
        [timestamp(before), limit],
    )


def delete_jobs(ids: Sequence[int]) -> None:
    """Deletes jobs with their events and labels; Django would read them all first, with their outputs."""
    on_postgresql = vendor() == "postgresql"
    among = "= ANY(%s)" if on_postgresql else "IN (SELECT value FROM json_each(%s))"
    for table, column in _OF_JOBS:
        fetch(f"DELETE FROM {table} WHERE {column} {among}", [list(ids) if on_postgresql else str(list(ids))])


def _old(test: str, at: str, before: datetime, limit: int) -> list[Row]:
    lock = "FOR UPDATE SKIP LOCKED" if vendor() == "postgresql" else ""
    return fetch(_OLD.format(table=_JOB, test=test, at=at, lock=lock), [timestamp(before), limit])
