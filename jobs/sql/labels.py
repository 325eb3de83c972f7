"""Jobs by their labels."""

from collections.abc import Iterable, Mapping, Sequence

from clusters.models import Cluster
from jobs.models import MAX_ID, Job, JobLabel, Queue, Serves
from jobs.sql.queues import QUEUED_BY_ID
from jobs.sql.statements import Row, among_ids, fetch, ids_as_value
from jobs.states import JobState

_JOB = Job._meta.db_table
_LABEL = JobLabel._meta.db_table
_CLUSTER = Cluster._meta.db_table
_QUEUE = Queue._meta.db_table
_SERVES = Serves._meta.db_table


def carries(labels: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Conditions of a job, one for each of the labels, and their values."""
    test = f"EXISTS (SELECT 1 FROM {_LABEL} l WHERE l.job_id = {_JOB}.id AND key = %s AND value = %s)"
    return [test] * len(labels), [text for item in labels.items() for text in item]


def jobs_labeled(key: str, value: str, *, first: int, limit: int) -> list[int]:
    """The ids of so many jobs that carry the label, from this id on, whatever their state."""
    where = "key = %s AND value = %s AND job_id >= %s"
    statement = f"SELECT job_id FROM {_LABEL} WHERE {where} ORDER BY key, value, job_id LIMIT %s"
    return [job_id for (job_id,) in fetch(statement, [key, value, first, limit])]


def waiting_with(labels: Mapping[str, str], ids: Sequence[int], *, columns: Sequence[str]) -> list[Row]:
    """(priority, turn, id, queue_id, *columns) of those of the jobs that wait and carry all of these labels."""
    tests, labeled = carries(labels)
    where = " AND ".join([f"{QUEUED_BY_ID} AND id {among_ids()}", *tests])
    wanted = ", ".join(("priority", "turn", "id", "queue_id", *columns))
    return fetch(f"SELECT {wanted} FROM {_JOB} WHERE {where}", [ids_as_value(ids), *labeled])


def carrying(labels: Mapping[str, str], ids: Iterable[int]) -> set[int]:
    """Those of the jobs that carry all of these labels."""
    tests, labeled = carries(labels)
    where = " AND ".join([f"id {among_ids()}", *tests])
    return {job_id for (job_id,) in fetch(f"SELECT id FROM {_JOB} WHERE {where}", [ids_as_value(ids), *labeled])}


def oldest_waiting_for(cluster_id: int) -> int | None:
    """The lowest id of the jobs that wait in the clusters and pools whose queues it serves."""
    row, state = "(j.cluster_id, j.state, j.id)", f"'{JobState.QUEUED}'"
    # Rows as bounds: jobs.sql.reads.oldest_queued.
    oldest = (
        f"SELECT j.id FROM {_JOB} j WHERE {row} >= (c.id, {state}, 0) AND {row} <= (c.id, {state}, {MAX_ID}) "
        "ORDER BY j.cluster_id, j.state, j.id LIMIT 1"
    )
    homes = f"SELECT q.cluster_id FROM {_QUEUE} q JOIN {_SERVES} s ON s.queue_id = q.id WHERE s.cluster_id = %s"
    rows = fetch(f"SELECT ({oldest}) FROM {_CLUSTER} c WHERE c.id IN ({homes})", [cluster_id])
    return min((job_id for (job_id,) in rows if job_id), default=None)
