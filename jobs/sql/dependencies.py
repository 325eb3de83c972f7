"""Statements on the jobs that wait for others."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from jobs.models import EndedParent, Job, JobDependency
from jobs.sql.statements import Columns, Row, Statement, among_ids, fetch, ids_as_value, insert, run, timestamp
from jobs.states import FINAL, JobState

_JOB = Job._meta.db_table
_DEPENDENCY = JobDependency._meta.db_table
_ENDED = EndedParent._meta.db_table
# Of ids, as rows that have them in the column `id`.
_AS_ROWS = {"postgresql": "unnest(%s::int[]) AS t(id)", "sqlite": "(SELECT value AS id FROM json_each(%s)) AS t"}
_FINAL = ", ".join(sorted(repr(state.value) for state in FINAL))


class Dependency(NamedTuple):
    job_id: int
    parent_id: int
    wants: str


def insert_dependencies(dependencies: Sequence[Dependency]) -> None:
    columns: Columns = {
        f"{name}_id" if name != "wants" else name: list(values)
        for name, values in zip(("job", "parent", "wants"), zip(*dependencies, strict=True), strict=True)
    }
    insert(JobDependency, columns)


def lock_parents(job_ids: Iterable[int]) -> dict[int, JobState]:
    """The states of these jobs, in the order of their ids. They do not change, and are not deleted, until the commit.

    Transactions that lock them in this way do not wait for each other.
    """
    lock = "FOR SHARE" if connection.vendor == "postgresql" else ""
    statement = f"SELECT id, state FROM {_JOB} WHERE id {among_ids()} ORDER BY id {lock}"
    return {job_id: JobState(state) for job_id, state in fetch(statement, [ids_as_value(sorted(job_ids))])}


def dependents_of(parent_ids: Collection[int], *, limit: int) -> list[int]:
    """The jobs of the first so many dependencies on these."""
    statement = f"SELECT job_id FROM {_DEPENDENCY} WHERE parent_id {among_ids()} LIMIT %s"
    return sorted({job_id for (job_id,) in fetch(statement, [ids_as_value(parent_ids), limit])})


def take_dependencies(job_ids: Collection[int], *, parent_ids: Collection[int]) -> list[Dependency]:
    """Deletes the dependencies of these jobs, which the caller has locked, on these parents, and returns them."""
    statement = (
        f"DELETE FROM {_DEPENDENCY} WHERE job_id {among_ids()} AND parent_id {among_ids()} "
        "RETURNING job_id, parent_id, wants"
    )
    return [Dependency(*row) for row in fetch(statement, [ids_as_value(job_ids), ids_as_value(parent_ids)])]


def cancel_blocked(reasons: Sequence[tuple[int, str]], *, now: datetime) -> None:
    """Cancels these blocked jobs, which the caller has locked, each for its reason."""
    statement = f"UPDATE {_JOB} SET state = '{JobState.CANCELLED}', finished_at = %s, reason = %s WHERE id = %s"
    with connection.cursor() as cursor:
        cursor.executemany(statement, [(timestamp(now), reason, job_id) for job_id, reason in reasons])


def ends_noted(job_ids: Iterable[int]) -> Statement:
    """Notes those of these jobs, which have ended, that others still wait for."""
    statement = (
        f"INSERT INTO {_ENDED} (job_id) SELECT t.id FROM {_AS_ROWS[connection.vendor]} "
        f"WHERE EXISTS (SELECT 1 FROM {_DEPENDENCY} d WHERE d.parent_id = t.id) ON CONFLICT DO NOTHING"
    )
    return Statement(statement, [ids_as_value(job_ids)])


def note_missed_ends() -> int:
    """Notes the jobs that ended where a server of an earlier release did not look who waits for them."""
    return run(
        f"INSERT INTO {_ENDED} (job_id) SELECT DISTINCT d.parent_id FROM {_DEPENDENCY} d "
        f"JOIN {_JOB} j ON j.id = d.parent_id WHERE j.state IN ({_FINAL}) ON CONFLICT DO NOTHING",
        [],
    )


def forget_ends(job_ids: Collection[int]) -> int:
    """Of those of these jobs for which no other waits any more."""
    return run(
        f"DELETE FROM {_ENDED} WHERE job_id {among_ids()} "
        f"AND NOT EXISTS (SELECT 1 FROM {_DEPENDENCY} d WHERE d.parent_id = {_ENDED}.job_id)",
        [ids_as_value(job_ids)],
    )


def ended_parents(*, limit: int) -> list[Row]:
    """(id, state) of jobs that have ended and that others wait for, the oldest notes first.

    Locks the notes until the commit, and leaves out what another transaction has locked.
    """
    lock = "FOR UPDATE OF e SKIP LOCKED" if connection.vendor == "postgresql" else ""
    return fetch(
        f"SELECT e.job_id, j.state FROM {_ENDED} e JOIN {_JOB} j ON j.id = e.job_id ORDER BY e.id LIMIT %s {lock}",
        [limit],
    )
