"""Statements on the jobs that wait for other jobs and for groups."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import models

from clusters.sql.cursors import open_cursor, vendor
from clusters.sql.moments import timestamp
from jobs.models import EndedGroup, EndedParent, GroupDependency, Job, JobDependency, JobGroup
from jobs.sql.statements import Columns, Row, Statement, among_ids, fetch, ids_as_value, insert, run
from jobs.states import FINAL, JobState

_JOB = Job._meta.db_table
_GROUP = JobGroup._meta.db_table
# Of ids, as rows that have them in the column `id`.
_AS_ROWS = {"postgresql": "unnest(%s::int[]) AS t(id)", "sqlite": "(SELECT value AS id FROM json_each(%s)) AS t"}
_FINAL = ", ".join(sorted(repr(state.value) for state in FINAL))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parents:
    """What jobs wait for: its table, that of the dependencies on it, and that of the notes of what has ended."""

    table: str
    model: type[models.Model]
    column: str
    ended: str
    ended_column: str
    state: str

    @property
    def dependency(self) -> str:
        return self.model._meta.db_table


JOBS = Parents(
    table=_JOB,
    model=JobDependency,
    column="parent_id",
    ended=EndedParent._meta.db_table,
    ended_column="job_id",
    state="state",
)
GROUPS = Parents(
    table=_GROUP,
    model=GroupDependency,
    column="group_id",
    ended=EndedGroup._meta.db_table,
    ended_column="group_id",
    state="outcome",
)


class Dependency(NamedTuple):
    job_id: int
    parent_id: int
    wants: str


class Named(NamedTuple):
    """A group that jobs are to wait for; `outcome` is empty until it is finished."""

    id: int
    open: bool
    outcome: str


def insert_dependencies(parents: Parents, dependencies: Sequence[Dependency]) -> None:
    columns: Columns = {
        "job_id": [one.job_id for one in dependencies],
        parents.column: [one.parent_id for one in dependencies],
        "wants": [one.wants for one in dependencies],
    }
    insert(parents.model, columns)


def lock_named_groups(group_ids: Iterable[int]) -> dict[int, Named]:
    """These groups, in the order of their ids. None is finished, and none deleted, until the commit."""
    lock = "FOR KEY SHARE" if vendor() == "postgresql" else ""
    statement = f"SELECT id, open, outcome FROM {_GROUP} WHERE id {among_ids()} ORDER BY id {lock}"
    return {row[0]: Named(*row) for row in fetch(statement, [ids_as_value(sorted(group_ids))])}


def lock_parents(job_ids: Iterable[int]) -> dict[int, JobState]:
    """The states of these jobs, in the order of their ids. They do not change, and are not deleted, until the commit.

    Transactions that lock them in this way do not wait for each other.
    """
    lock = "FOR SHARE" if vendor() == "postgresql" else ""
    statement = f"SELECT id, state FROM {_JOB} WHERE id {among_ids()} ORDER BY id {lock}"
    return {job_id: JobState(state) for job_id, state in fetch(statement, [ids_as_value(sorted(job_ids))])}


def dependents_of(parents: Parents, ids: Collection[int], *, limit: int) -> list[int]:
    """The jobs of the first so many dependencies on these."""
    if vendor() == "sqlite":
        statement = f"SELECT job_id FROM {parents.dependency} WHERE {parents.column} {among_ids()} LIMIT %s"
        return sorted({job_id for (job_id,) in fetch(statement, [ids_as_value(ids), limit])})
    # Of one that many wait for, PostgreSQL would else read the table from its beginning, past all that is deleted.
    first = f"SELECT job_id FROM {parents.dependency} WHERE {parents.column} = t.id ORDER BY job_id LIMIT %s"
    statement = f"SELECT d.job_id FROM {_AS_ROWS['postgresql']} CROSS JOIN LATERAL ({first}) d LIMIT %s"
    return sorted({job_id for (job_id,) in fetch(statement, [ids_as_value(ids), limit, limit])})


def take_dependencies(parents: Parents, ids: Collection[int], *, job_ids: Collection[int]) -> list[Dependency]:
    """Deletes the dependencies of these jobs, which the caller has locked, on these parents, and returns them."""
    statement = (
        f"DELETE FROM {parents.dependency} WHERE job_id {among_ids()} AND {parents.column} {among_ids()} "
        f"RETURNING job_id, {parents.column}, wants"
    )
    return [Dependency(*row) for row in fetch(statement, [ids_as_value(job_ids), ids_as_value(ids)])]


def cancel_blocked(reasons: Sequence[tuple[int, str]], *, now: datetime) -> None:
    """Cancels these blocked jobs, which the caller has locked, each for its reason."""
    statement = f"UPDATE {_JOB} SET state = '{JobState.CANCELLED}', finished_at = %s, reason = %s WHERE id = %s"
    with open_cursor() as cursor:
        cursor.executemany(statement, [(timestamp(now), reason, job_id) for job_id, reason in reasons])


def ends_noted(parents: Parents, ids: Iterable[int]) -> Statement:
    """Notes those of these, which have ended, that jobs still wait for."""
    statement = (
        f"INSERT INTO {parents.ended} ({parents.ended_column}) SELECT t.id FROM {_AS_ROWS[vendor()]} "
        f"WHERE EXISTS (SELECT 1 FROM {parents.dependency} d WHERE d.{parents.column} = t.id) ON CONFLICT DO NOTHING"
    )
    return Statement(statement, [ids_as_value(ids)])


def note_missed_ends(parents: Parents) -> int:
    """Notes those that ended where a server of an earlier release did not look who waits for them."""
    ended = f"SELECT 1 FROM {parents.table} p WHERE p.id = d.{parents.column} AND p.{parents.state} IN ({_FINAL})"
    return run(
        f"INSERT INTO {parents.ended} ({parents.ended_column}) SELECT DISTINCT d.{parents.column} "
        f"FROM {parents.dependency} d WHERE EXISTS ({ended}) ON CONFLICT DO NOTHING",
        [],
    )


def forget_ends(parents: Parents, ids: Collection[int]) -> int:
    """Of those of these for which no job waits any more."""
    return run(
        f"DELETE FROM {parents.ended} WHERE {parents.ended_column} {among_ids()} AND NOT EXISTS "
        f"(SELECT 1 FROM {parents.dependency} d WHERE d.{parents.column} = {parents.ended}.{parents.ended_column})",
        [ids_as_value(ids)],
    )


def notes_exist() -> bool:
    """Whether there are notes of what has ended and jobs wait for. Asked after every end of a job."""
    any_of = " OR ".join(f"EXISTS (SELECT 1 FROM {parents.ended})" for parents in (JOBS, GROUPS))
    return bool(fetch(f"SELECT {any_of}", [])[0][0])


def ended_parents(parents: Parents, *, limit: int) -> list[Row]:
    """(id, state) of those that have ended and that jobs wait for, the oldest notes first.

    Locks the notes until the commit, and leaves out what another transaction has locked.
    """
    lock = "FOR UPDATE OF e SKIP LOCKED" if vendor() == "postgresql" else ""
    return fetch(
        f"SELECT p.id, p.{parents.state} FROM {parents.ended} e JOIN {parents.table} p "
        f"ON p.id = e.{parents.ended_column} ORDER BY e.id LIMIT %s {lock}",
        [limit],
    )
