"""Requesting jobs: the first of those that a cluster may take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from itertools import islice
from typing import Any

from clusters.bounds import Bounds
from clusters.callers import Caller
from clusters.models import Cluster
from clusters.validation import check_range
from jobs.models import Job
from jobs.queries.head import waiting_ids
from jobs.queries.reply_size import number_that_fits
from jobs.specs import CONTENT_FIELDS, LONG_FIELDS, MAX_INT, JobDescription, check_labels, values_read
from jobs.sql.reads import bytes_in, jobs_by_id
from jobs.sql.statements import quoted
from jobs.states import JobState

# A job may carry 128 KiB of text: so few are read whatever their size, more only where they fit an answer.
_FEW = 50
_CHUNK = 500
ANY = Bounds()


@dataclass(slots=True, kw_only=True)
class QueuedJob(JobDescription):
    """A waiting job as its cluster sees it."""

    id: int
    attempt: int
    # The pool that it waits in; empty for a job of the cluster itself. Of a pool's job only sizes, needs and name are
    # told, since others may take it.
    pool: str = ""


_COLUMNS = tuple(item.name for item in fields(QueuedJob) if item.name != "pool")
_NOTHING = JobDescription(command="")
_WITHHELD: dict[str, Any] = {name: getattr(_NOTHING, name) for name in (*CONTENT_FIELDS, "labels")}


def request_jobs(
    *, caller: Caller, bounds: Bounds = ANY, limit: int = 0, shared: bool = False, now: datetime
) -> Iterator[QueuedJob]:
    """The waiting jobs that the caller's cluster may take, highest priority first, then oldest first; reserves nothing.

    Without `shared` only those that were submitted to the cluster itself and need nothing that must be looked up.
    Reads as it is consumed, a few hundred rows at a time; a limit of 0 or less is none. A paused cluster has no jobs.
    Raises InvalidArgument.
    """
    for item in bounds.limits:
        check_range(item.most, field=item.name, lowest=0, highest=MAX_INT)
    check_labels(bounds.labels)
    if caller.paused:
        return iter(())
    left = limit if limit > 0 else MAX_INT
    ids = waiting_ids(cluster_id=caller.cluster_id, bounds=bounds, plain=not shared, expected=min(left, _FEW), now=now)
    return _read(ids, left, caller.cluster_id)


def _read(ids: Iterator[int], left: int, cluster_id: int) -> Iterator[QueuedJob]:
    ids = islice(ids, left)
    some, rest = list(islice(ids, _FEW)), list[int]()
    while some:
        yield from _jobs(some, cluster_id)
        rest += islice(ids, _CHUNK - len(rest))
        sizes: dict[int, int] = dict(jobs_by_id(rest, columns=["id", bytes_in(LONG_FIELDS)])) if rest else {}
        number = number_that_fits(sizes.get(job_id, 0) for job_id in rest)
        some, rest = rest[:number], rest[number:]


def _jobs(ids: Sequence[int], cluster_id: int) -> Iterator[QueuedJob]:
    """Those that are still there, in this order."""
    rows = {row[0]: row for row in jobs_by_id(ids, columns=["id", "cluster_id", quoted(_COLUMNS)])}
    homes = {row[1] for row in rows.values()} - {cluster_id}
    pools = dict(Cluster.objects.filter(id__in=homes).values_list("id", "name")) if homes else {}
    for _, home, *columns in (rows[job_id] for job_id in ids if job_id in rows):
        job = QueuedJob(**values_read(dict(zip(_COLUMNS, columns, strict=True))))
        yield replace(job, pool=pools[home], **_WITHHELD) if home in pools else job


def waits_for_a_queue() -> bool:
    """Whether jobs wait that have no queue: those of an earlier release."""
    return Job.objects.filter(state=JobState.QUEUED, queue__isnull=True).exists()
