"""Reading groups and their counts."""

from collections.abc import Sequence
from datetime import datetime

from jobs.models import GroupCount, Job, JobGroup
from jobs.sql.statements import Row, among_ids, fetch, ids_as_value, timestamp
from jobs.states import FINAL

_JOB = Job._meta.db_table
_GROUP, _COUNT = JobGroup._meta.db_table, GroupCount._meta.db_table
_FINAL = ", ".join(f"'{state}'" for state in sorted(FINAL))


def group_totals(group_ids: Sequence[int]) -> list[Row]:
    """(group, state, members) of each state that members of these groups are or were in."""
    statement = f"SELECT group_id, state, SUM(jobs) FROM {_COUNT} WHERE group_id {among_ids()} GROUP BY group_id, state"
    return fetch(statement, [ids_as_value(group_ids)])


def groups_without_members(*, before: datetime, limit: int) -> list[int]:
    """Groups that were finished before a time, the first first, whose members are pruned."""
    statement = (
        f"SELECT g.id FROM {_GROUP} g WHERE g.finished_at IS NOT NULL AND g.finished_at < %s AND NOT EXISTS "
        f'(SELECT 1 FROM {_JOB} j WHERE j."group" > 0 AND j."group" = g.id) ORDER BY g.finished_at LIMIT %s'
    )
    return [group_id for (group_id,) in fetch(statement, [timestamp(before), limit])]


def groups_to_step(*, left_open_since: datetime, limit: int) -> list[int]:
    """Those unfinished groups, the oldest first, for which there is something to do.

    Costs a read of the counts of each group that is not finished.
    """
    open_members = (
        f"SELECT COALESCE(SUM(c.jobs), 0) FROM {_COUNT} c WHERE c.group_id = g.id AND c.state NOT IN ({_FINAL})"
    )
    statement = (
        f"SELECT g.id FROM {_GROUP} g WHERE g.finished_at IS NULL AND ("
        f"(g.open AND g.added_at <= %s) OR (NOT g.open AND ({open_members}) = 0)) ORDER BY g.id LIMIT %s"
    )
    return [group_id for (group_id,) in fetch(statement, [timestamp(left_open_since), limit])]
