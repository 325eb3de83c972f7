"""Reading groups and their counts."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from clusters.sql.moments import timestamp
from jobs.models import GroupCount, GroupDependency, Job, JobGroup
from jobs.sql.statements import Row, among_ids, fetch, ids_as_value
from jobs.states import FINAL, UNTAKEN, JobState

_JOB = Job._meta.db_table
_GROUP, _COUNT = JobGroup._meta.db_table, GroupCount._meta.db_table
_DEPENDENCY = GroupDependency._meta.db_table
_TAKING_ROOM = ", ".join(f"'{state}'" for state in sorted(set(JobState) - FINAL - {JobState.BLOCKED}))


def group_totals(group_ids: Sequence[int]) -> list[Row]:
    """(group, state, members) of each state that members of these groups are or were in."""
    statement = f"SELECT group_id, state, SUM(jobs) FROM {_COUNT} WHERE group_id {among_ids()} GROUP BY group_id, state"
    return fetch(statement, [ids_as_value(group_ids)])


def members_with_room(group_id: int) -> int:
    """How many members queues and clusters have, and of those that are blocked for something else than their turn.

    In one statement: between two, a member whose next attempt is due is in neither.
    """
    ((members,),) = fetch(_WITH_ROOM, [group_id, group_id])
    return int(members)


def groups_without_members(*, before: datetime, limit: int) -> list[int]:
    """Groups that were finished before a time, the first first, whose members are pruned."""
    statement = (
        f"SELECT g.id FROM {_GROUP} g WHERE g.finished_at IS NOT NULL AND g.finished_at < %s AND NOT EXISTS "
        f'(SELECT 1 FROM {_JOB} j WHERE j."group" > 0 AND j."group" = g.id) '
        f"AND NOT EXISTS (SELECT 1 FROM {_DEPENDENCY} d WHERE d.group_id = g.id) ORDER BY g.finished_at LIMIT %s"
    )
    return [group_id for (group_id,) in fetch(statement, [timestamp(before), limit])]


def groups_to_step(
    *, among: Collection[int] | None, besides: Collection[int], left_open_since: datetime, limit: int
) -> list[int]:
    """Those unfinished groups, the oldest first, for which there is something to do.

    Costs a read of the counts of each group that is not finished, or of these alone.
    """
    further, own = ("TRUE", []) if among is None else (f"g.id {among_ids()}", [ids_as_value(sorted(among))])
    if besides:
        further, own = f"{further} AND NOT (g.id {among_ids()})", [*own, ids_as_value(sorted(besides))]
    going = f"SELECT g.id FROM {_GROUP} g WHERE g.finished_at IS NULL AND {further}"
    statement = (
        f"SELECT g.id FROM {_GROUP} g LEFT JOIN ({_COUNTED.format(going=going)}) n ON n.group_id = g.id "
        f"WHERE g.finished_at IS NULL AND {further} AND ({' OR '.join(_DUE)}) ORDER BY g.id LIMIT %s"
    )
    return [group_id for (group_id,) in fetch(statement, [*own, *own, timestamp(left_open_since), limit])]


def _sum(states: Iterable[JobState]) -> str:
    among = ", ".join(f"'{state}'" for state in sorted(states))
    return f"SUM(CASE WHEN c.state IN ({among}) THEN c.jobs ELSE 0 END)"


_COUNTED = (
    f"SELECT c.group_id, {_sum(UNTAKEN)} AS untaken, {_sum([JobState.BLOCKED])} AS blocked, "
    f"{_sum([JobState.FAILED])} AS failed, {_sum(set(JobState) - FINAL)} AS not_over "
    f"FROM {_COUNT} c WHERE c.group_id IN ({{going}}) GROUP BY c.group_id"
)
_IN_GROUP = f'{_JOB} j WHERE j."group" > 0 AND j."group" = g.id AND j.state = \'{JobState.BLOCKED}\''
# Members that keep their room while they are blocked for something else, and one that waits for its turn alone.
_UNHELD = f"(SELECT COUNT(*) FROM {_IN_GROUP} AND j.held_by_group = FALSE)"
_NEXT = f"(SELECT MIN(j.id) FROM {_IN_GROUP} AND j.held_by_group = TRUE AND j.unmet = 0) IS NOT NULL"
_DUE = (
    "(g.open AND g.added_at <= %s)",
    "(NOT g.open AND COALESCE(n.not_over, 0) = 0)",
    "(g.stopped_at IS NOT NULL AND (n.untaken > 0 OR g.cancelled_to IS NOT NULL))",
    "(g.stopped_at IS NULL AND g.stop_after_failures > 0 AND n.failed >= g.stop_after_failures)",
    "(g.stopped_at IS NULL AND g.at_once > 0 AND n.blocked > 0 AND n.not_over - n.blocked < g.at_once"
    f" AND {_NEXT} AND n.not_over - n.blocked + {_UNHELD} < g.at_once)",
)
_WITH_ROOM = (
    f"SELECT (SELECT COALESCE(SUM(c.jobs), 0) FROM {_COUNT} c WHERE c.group_id = %s AND c.state IN ({_TAKING_ROOM})) + "
    f'(SELECT COUNT(*) FROM {_JOB} WHERE "group" > 0 AND "group" = %s AND state = \'{JobState.BLOCKED}\' '
    "AND held_by_group = FALSE)"
)
