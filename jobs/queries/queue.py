"""Requesting jobs: the first of those that a cluster may take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import islice
from typing import Any

from clusters.bounds import Bounds
from clusters.callers import Caller
from clusters.validation import check_range
from jobs.agents import check_place_of
from jobs.models import Job
from jobs.queries.head import FEW, Next, waiting
from jobs.queries.own import waiting_within
from jobs.queries.reply_size import number_that_fits
from jobs.sight import taken_by
from jobs.spec_rules import SITE_OPTIONS
from jobs.specs import (
    ASKED_FIELDS,
    CONTENT_FIELDS,
    LONG_FIELDS,
    MAX_INT,
    JobDescription,
    check_labels,
    values_read,
)
from jobs.sql.queues import ServedQueue
from jobs.sql.reads import bytes_in, jobs_by_id
from jobs.sql.statements import Row, quoted
from jobs.states import JobState

# Beyond the first few as many are read as fit an answer.
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


# First those that every job has.
_BASIC = tuple(item.name for item in fields(QueuedJob) if item.name not in ("pool", *ASKED_FIELDS))
_COLUMNS = (*_BASIC, *ASKED_FIELDS)
_QUOTED = tuple(quoted([name]) for name in _COLUMNS)
# Of what is told of a waiting job.
LONG_TEXTS = tuple(name for name in LONG_FIELDS if name in _COLUMNS)
_NOTHING = JobDescription(command="")
_WITHHELD: dict[str, Any] = {
    name: getattr(_NOTHING, name) for name in (*CONTENT_FIELDS, *SITE_OPTIONS, "options_by_cluster", "labels")
}


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
    check_place_of(caller)
    if caller.paused:
        return iter(())
    left = limit if limit > 0 else MAX_INT
    if own := taken_by(caller):
        jobs = waiting_within(own, cluster_id=caller.cluster_id, bounds=bounds, plain=not shared, now=now)
        return _read(islice(jobs, left))
    jobs = waiting(
        cluster_id=caller.cluster_id,
        bounds=bounds,
        plain=not shared,
        columns_of=_columns_of,
        expected=min(left, FEW),
        now=now,
    )
    return _read(islice(jobs, left))


def _read(jobs: Iterator[Next]) -> Iterator[QueuedJob]:
    some, rest = list(islice(jobs, FEW)), list[Next]()
    while some:
        yield from _whole(some)
        rest += islice(jobs, _CHUNK - len(rest))
        ids = [job.job_id for job in rest]
        sizes: dict[int, int] = dict(jobs_by_id(ids, columns=["id", bytes_in(LONG_TEXTS)])) if ids else {}
        number = number_that_fits(sizes.get(job_id, 0) for job_id in ids)
        some, rest = rest[:number], rest[number:]


def _whole(jobs: Sequence[Next]) -> Iterator[QueuedJob]:
    """Those that are still there, in this order."""
    unread = [job.job_id for job in jobs if not job.row]
    rows = {row[0]: row[1:] for row in jobs_by_id(unread, columns=["id", *_QUOTED])} if unread else {}
    for job in jobs:
        if row := job.row or rows.get(job.job_id):
            yield _job(row, job.queue.pool)


def _job(row: Row, pool: str) -> QueuedJob:
    values = values_read(dict(zip(_COLUMNS, row, strict=False)))
    return QueuedJob(**(values | _WITHHELD if pool else values), pool=pool)


def _columns_of(queue: ServedQueue) -> Sequence[str]:
    """The first of _COLUMNS, as many as its jobs may say."""
    return _QUOTED[: len(_BASIC)] if queue.plain else _QUOTED


def waits_for_a_queue() -> bool:
    """Whether jobs wait that have no queue: those of an earlier release."""
    return Job.objects.filter(state=JobState.QUEUED, queue__isnull=True).exists()
