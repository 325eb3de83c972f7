"""Requesting jobs: the head of a cluster's queue."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from clusters.bounds import Bounds
from clusters.callers import Caller
from clusters.validation import check_range
from jobs.queries.reply_size import number_that_fits
from jobs.specs import LONG_FIELDS, MAPPINGS, MAX_INT, JobDescription, check_labels
from jobs.sql.reads import bytes_in, queued_jobs

# A job may carry 128 KiB of text: so few are read whatever their size, more only where they fit an answer.
_FEW = 50
_CHUNK = 500
ANY = Bounds()


@dataclass(slots=True, kw_only=True)
class QueuedJob(JobDescription):
    """A waiting job as its cluster sees it."""

    id: int
    attempt: int


_COLUMNS = tuple(item.name for item in fields(QueuedJob))


def request_jobs(*, caller: Caller, bounds: Bounds = ANY, limit: int = 0) -> Iterator[QueuedJob]:
    """The waiting jobs of the caller's cluster, highest priority first, then oldest first; reserves nothing.

    Reads as it is consumed, a few hundred rows at a time; a limit of 0 or less is none. A paused cluster has no jobs.
    Raises InvalidArgument.
    """
    for item in bounds.limits:
        check_range(item.most, field=item.name, lowest=0, highest=MAX_INT)
    check_labels(bounds.labels)
    return iter(()) if caller.paused else _read(caller.cluster_id, bounds, limit if limit > 0 else MAX_INT)


def _read(cluster_id: int, bounds: Bounds, left: int) -> Iterator[QueuedJob]:
    at_most = {item.field: item.most for item in bounds.limits}
    look = partial(queued_jobs, cluster_id, at_most=at_most, labels=bounds.labels)
    after: tuple[int, int] | None = None
    number = min(left, _FEW)
    while number:
        jobs = [_queued_job(row) for row in look(limit=number, after=after, columns=_COLUMNS)]
        yield from jobs
        left -= len(jobs)
        if len(jobs) < number or not left:
            return
        after = (jobs[-1].priority, jobs[-1].id)
        ahead = look(limit=min(left, _CHUNK), after=after, columns=[bytes_in(LONG_FIELDS)])
        number = number_that_fits(size for (size,) in ahead)


def _queued_job(row: tuple[Any, ...]) -> QueuedJob:
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in MAPPINGS:
        # PostgreSQL keeps an order of its own.
        values[name] = dict(sorted(json.loads(values[name]).items())) if values[name] != "{}" else {}
    return QueuedJob(**values)
