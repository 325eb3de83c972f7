"""The waiting jobs of queues, in their order."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from clusters.prepared import fetch_prepared
from clusters.sql.cursors import vendor
from jobs.models import Job, Serves
from jobs.sight import Sight
from jobs.sql.labels import carries
from jobs.sql.queues import HOLDS_BACK, QUEUED
from jobs.sql.statements import Place, Row, fetch

_JOB = Job._meta.db_table
_SERVES = Serves._meta.db_table
_ORDER = "ORDER BY priority DESC, turn, id"


class Look(NamedTuple):
    """At this number of jobs of a queue, after this place."""

    queue_id: int
    after: Place | None
    number: int


class Seen(NamedTuple):
    """A job, the n-th of a look, from 1."""

    priority: int
    turn: int
    id: int
    n: int
    is_within: bool


class OnlyQueue(NamedTuple):
    """So many jobs of a queue, if the cluster serves it alone, all of it and at once, and holds no jobs back."""

    id: int
    cluster_id: int
    number: int


def _is_only(queue_id: str, cluster_id: str) -> str:
    # Two for each queue that is another, or that it serves in part or later.
    served = f"CASE WHEN queue_id = {queue_id} AND whole AND after_seconds = 0 THEN 1 ELSE 2 END"
    held = HOLDS_BACK.replace("%s", cluster_id)
    return f"(SELECT SUM({served}) FROM {_SERVES} WHERE cluster_id = {cluster_id}) = 1 AND NOT {held}"


def waiting_in_only(queue_id: int, cluster_id: int, *, columns: Sequence[str], limit: int) -> list[Row]:
    """What `waiting_in` reads, if the cluster still serves this queue alone, all of it; nothing otherwise."""
    given = [queue_id, cluster_id, cluster_id]
    return _waiting(queue_id, columns, limit, _is_only("%s", "%s"), given)


def waiting_in_only_each(queues: Sequence[OnlyQueue], *, columns: Sequence[str]) -> dict[OnlyQueue, list[Row]]:
    """The same of many, in one statement, on PostgreSQL."""
    its = (
        f"SELECT {', '.join(columns)} FROM {_JOB} WHERE queue_id = only_queue.id AND {QUEUED} "
        f"AND {_is_only('only_queue.id', 'only_queue.cluster_id')} {_ORDER} LIMIT only_queue.number"
    )
    arrays = _unnested("int", "bigint", "bigint", "bigint")
    statement = f"SELECT n, its.* FROM {arrays} only_queue(n, id, cluster_id, number) CROSS JOIN LATERAL ({its}) its"
    values = list(map(list, zip(*((n, *queue) for n, queue in enumerate(queues)), strict=True)))
    rows: dict[OnlyQueue, list[Row]] = {queue: [] for queue in queues}
    for n, *row in fetch_prepared(statement, values):
        rows[queues[n]].append(tuple(row))
    return rows


def waiting_in(queue_id: int, *, columns: Sequence[str], after: Place | None, limit: int) -> list[Row]:
    """These columns of the next jobs of a queue, in its order, after this place."""
    if not after:
        return _waiting(queue_id, columns, limit)
    place = Behind("%s", "%s", "%s")
    statement = _behind(", ".join(columns), f"queue_id = %s AND {QUEUED}", place, limit="%s")
    return fetch(statement, [*_values_behind(queue_id, after, limit), limit])


class Behind(NamedTuple):
    """What stands for a place in a statement."""

    priority: str
    turn: str
    id: str


def _behind(columns: str, where: str, place: Behind, *, limit: str) -> str:
    """Reads jobs behind a place in three ranges of the index: by one condition a database would walk all before it."""
    priority, turn, id = place
    tests = {
        "same": f"priority = {priority} AND turn = {turn} AND id > {id}",
        "later": f"priority = {priority} AND turn > {turn}",
        "lower": f"priority < {priority}",
    }
    ranges = (
        f"SELECT * FROM (SELECT {columns} FROM {_JOB} WHERE {where} AND {test} {_ORDER} LIMIT {limit}) {name}"
        for name, test in tests.items()
    )
    return f"SELECT * FROM ({' UNION ALL '.join(ranges)}) behind {_ORDER} LIMIT {limit}"


def _values_behind(queue_id: int, place: Place, limit: int) -> list[object]:
    priority, turn, _ = place
    return [queue_id, *place, limit, queue_id, priority, turn, limit, queue_id, priority, limit]


def waiting_of_owner(
    own: Sight, cluster_id: int, *, columns: Sequence[str], labels: Mapping[str, str], limit: int
) -> list[Row]:
    """(priority, turn, id, queue_id, *columns) of the first jobs within sight that wait in queues that it serves."""
    within, owners = own.condition(_JOB, indexed=True)
    tests, labeled = carries(labels)
    served = f"queue_id IN (SELECT queue_id FROM {_SERVES} WHERE cluster_id = %s)"
    where = " AND ".join([within, QUEUED, served, *tests])
    wanted = ", ".join(("priority", "turn", "id", "queue_id", *columns))
    statement = f"SELECT {wanted} FROM {_JOB} WHERE {where} {_ORDER} LIMIT {int(limit)}"
    return fetch(statement, [*owners, cluster_id, *labeled])


def first_of_all(queue_ids: Collection[int], *, columns: Sequence[str], limit: int) -> list[Row]:
    """(queue_id, *columns) of so many jobs: the first of all these queues, in their order."""
    order = f"{_ORDER} LIMIT {int(limit)}"
    if vendor() == "postgresql":
        its = f"SELECT priority, turn, id FROM {_JOB} WHERE queue_id = queues.id AND {QUEUED} {order}"
        ids = _unnested("bigint")
        places = f"SELECT its.* FROM {ids} queues(id) CROSS JOIN LATERAL ({its}) its"
        values: list[object] = [list(queue_ids)]
    else:
        its = f"SELECT * FROM (SELECT priority, turn, id FROM {_JOB} WHERE queue_id = %s AND {QUEUED} {order})"
        places = " UNION ALL ".join([its] * len(queue_ids))
        values = list(queue_ids)
    first = f"SELECT id FROM (SELECT * FROM ({places}) places {order}) first"
    wanted = ", ".join(columns)
    statement = f"SELECT queue_id, {wanted} FROM {_JOB} WHERE id IN ({first}) {_ORDER}"
    return fetch_prepared(statement, values)


# Limits are written into the statement: for one that is a value a plan kept would allow for a tenth of all rows.
def within_bounds(looks: Sequence[Look], *, at_most: Mapping[str, int], limit: int) -> list[list[Seen]]:
    """Of each look the first `limit` jobs that are within these bounds.

    Where there are fewer, the last job of the look follows, unless the queue ends before.
    """
    starts = [(n, one.queue_id, *(one.after or BEFORE_ALL), one.number) for n, one in enumerate(looks)]
    if vendor() == "postgresql":
        place = Behind("look.priority", "look.turn", "look.id")
        its = _seen(_within(at_most), "look.queue_id", place, "look.number", limit=limit)
        arrays = _unnested("int", "bigint", "int", "bigint", "bigint", "bigint")
        looked = f"{arrays} look(n, queue_id, priority, turn, id, number)"
        statement = f"SELECT look.n, its.* FROM {looked} CROSS JOIN LATERAL ({its}) its"
        values = [*map(list, zip(*starts, strict=True)), *at_most.values()]
    else:
        its = _seen(_within(at_most), "%s", Behind("%s", "%s", "%s"), "%s", limit=limit)
        statement = " UNION ALL ".join([f"SELECT %s, its.* FROM ({its}) its"] * len(looks))
        values = []
        for n, queue_id, priority, turn, id, number in starts:
            behind = _values_behind(queue_id, (priority, turn, id), number)
            values += [n, *at_most.values(), *behind, number, number]
    seen: list[list[Seen]] = [[] for _ in looks]
    for n, *job in fetch_prepared(statement, values):
        seen[n].append(Seen(*job))
    return seen


def _seen(is_within: str, queue_id: str, place: Behind, number: str, *, limit: int) -> str:
    columns = "priority, turn, id, nodes, tasks, time_limit_seconds, cores_per_task"
    looked = _behind(columns, f"queue_id = {queue_id} AND {QUEUED}", place, limit=number)
    counted = (
        f"SELECT priority, turn, id, row_number() OVER ({_ORDER}) AS n, {is_within} AS is_within FROM ({looked}) looked"
    )
    return f"SELECT * FROM ({counted}) seen WHERE is_within OR n = {number} {_ORDER} LIMIT {int(limit)}"


BEFORE_ALL: Place = (2**15 - 1, 0, 0)


def _within(at_most: Mapping[str, int]) -> str:
    """Whether a job is within these bounds, of which each is a placeholder."""
    greatest = "GREATEST" if vendor() == "postgresql" else "MAX"
    # As jobs.models.cores_of.
    cores = f"CAST({greatest}(nodes, tasks) AS bigint) * {greatest}(1, cores_per_task)"
    return " AND ".join(["TRUE", *(f"{cores if name == 'cores' else name} <= %s" for name in at_most)])


def _waiting(
    queue_id: int,
    columns: Sequence[str],
    limit: int,
    further: str = "",
    given: Sequence[object] = (),
) -> list[Row]:
    wanted = ", ".join(columns)
    where = " AND ".join([f"queue_id = %s AND {QUEUED}", *([further] if further else [])])
    statement = f"SELECT {wanted} FROM {_JOB} WHERE {where} {_ORDER} LIMIT %s"
    return fetch(statement, [queue_id, *given, limit])


def _unnested(*types: str) -> str:
    """Arrays as rows. Beside a plan for arrays that it sees, PostgreSQL would find a kept one costly, and plan anew."""
    return f"unnest({', '.join(f'(SELECT %s::{type}[])' for type in types)})"
