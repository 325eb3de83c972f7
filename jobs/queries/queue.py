"""Requesting jobs: the first of those that a cluster may take."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from typing import Any

from clusters.bounds import Bounds
from clusters.callers import Caller
from clusters.validation import check_range
from jobs.agents import check_place_of
from jobs.models import Job
from jobs.queries.head import FEW, Search, read_ahead
from jobs.queries.labeled import LabeledSearch
from jobs.queries.merge import Next
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
from rainbow.errors import RainbowError

# Beyond the first few as many are read as fit an answer.
_CHUNK = 500
ANY = Bounds()


# Jobs are offered again and again until they are taken: what was made of so many rows, of so many characters each, is
# kept, about 10 MB in all. It is found by all that a row holds, so that nothing that changes can be missed.
KEPT_JOBS = 1_000
_KEPT_CHARACTERS = 2_000


@dataclass(slots=True, kw_only=True)
class QueuedJob(JobDescription):
    """A waiting job as its cluster sees it."""

    id: int
    attempt: int
    # The pool that it waits in; empty for a job of the cluster itself. Of a pool's job only sizes, needs and name are
    # told, since others may take it.
    pool: str = ""


@dataclass(slots=True, kw_only=True, eq=False)
class KeptJob(QueuedJob):
    """The same row is the same object again, equal to itself alone, and so quick to find."""

    __hash__ = object.__hash__


# First those that every job has.
_BASIC = tuple(item.name for item in fields(QueuedJob) if item.name not in ("pool", *ASKED_FIELDS))
_COLUMNS = (*_BASIC, *ASKED_FIELDS)
_QUOTED = tuple(quoted([name]) for name in _COLUMNS)
# Those of a row, by its length.
_long_texts_of = {
    len(names): itemgetter(*(place for place, name in enumerate(names) if name in LONG_FIELDS))
    for names in (_BASIC, _COLUMNS)
}
# Of what is told of a waiting job.
LONG_TEXTS = tuple(name for name in LONG_FIELDS if name in _COLUMNS)
_NOTHING = JobDescription(command="")
_WITHHELD: dict[str, Any] = {
    name: getattr(_NOTHING, name) for name in (*CONTENT_FIELDS, *SITE_OPTIONS, "options_by_cluster", "labels")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`shared`: also jobs of pools, and those whose needs must be looked up. A limit of 0 or less is none."""

    caller: Caller
    bounds: Bounds = ANY
    limit: int = 0
    shared: bool = False

    @property
    def most(self) -> int:
        return self.limit if self.limit > 0 else MAX_INT


# A request, with the jobs that are found for it.
_Asked = tuple[Request, Iterable[Next] | RainbowError]


def request_jobs(
    *, caller: Caller, bounds: Bounds = ANY, limit: int = 0, shared: bool = False, now: datetime
) -> Iterator[QueuedJob]:
    """The waiting jobs that the caller's cluster may take, highest priority first, then oldest first; reserves nothing.

    Reads as it is consumed, a few hundred rows at a time. A paused cluster has no jobs. Raises InvalidArgument.
    """
    (found,) = answer_requests([Request(caller=caller, bounds=bounds, limit=limit, shared=shared)], now=now)
    if isinstance(found, RainbowError):
        raise found
    return found


def answer_requests(requests: Sequence[Request], *, now: datetime) -> Iterator[Iterator[QueuedJob] | RainbowError]:
    """The same for many, each with its jobs or its own refusal. Consume the jobs of one before the next."""
    sources = ((request, _source_or_refusal(request, now)) for request in requests)
    for part in _parts(sources):
        read_ahead([source for _, source in part if isinstance(source, Search)])
        for request, source in part:
            yield source if isinstance(source, RainbowError) else _read(islice(source, request.most))


def _parts(sources: Iterable[_Asked]) -> Iterator[list[_Asked]]:
    """Of as many jobs as may be in memory at once, whatever their size."""
    part, jobs = list[_Asked](), 0
    for request, source in sources:
        expected = source.expected if isinstance(source, Search) else 0
        if part and jobs + expected > 2 * FEW:
            yield part
            part, jobs = [], 0
        part.append((request, source))
        jobs += expected
    yield part


def _source_or_refusal(request: Request, now: datetime) -> Iterable[Next] | RainbowError:
    try:
        return _source(request, now)
    except RainbowError as error:
        return error


def _source(request: Request, now: datetime) -> Iterable[Next]:
    caller, bounds, plain = request.caller, request.bounds, not request.shared
    for item in bounds.limits:
        check_range(item.most, field=item.name, lowest=0, highest=MAX_INT)
    check_labels(bounds.labels)
    check_place_of(caller)
    if caller.paused:
        return ()
    if own := taken_by(caller):
        return waiting_within(own, cluster_id=caller.cluster_id, bounds=bounds, plain=plain, now=now)
    search = Search(
        cluster_id=caller.cluster_id,
        bounds=bounds,
        plain=plain,
        columns_of=_columns_of,
        expected=request.most,
        now=now,
    )
    return LabeledSearch(whole=search) if bounds.labels else search


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
    is_short = sum(map(len, _long_texts_of[len(row)](row))) <= _KEPT_CHARACTERS
    return _kept_job(row, pool) if is_short else QueuedJob(**_values(row, pool), pool=pool)


@lru_cache(maxsize=KEPT_JOBS)
def _kept_job(row: Row, pool: str) -> KeptJob:
    return KeptJob(**_values(row, pool), pool=pool)


def _values(row: Row, pool: str) -> dict[str, Any]:
    values = values_read(dict(zip(_COLUMNS, row, strict=False)))
    return values | _WITHHELD if pool else values


def _columns_of(queue: ServedQueue) -> Sequence[str]:
    """The first of _COLUMNS, as many as its jobs may say."""
    return _QUOTED[: len(_BASIC)] if queue.plain else _QUOTED


def waits_for_a_queue() -> bool:
    """Whether jobs wait that have no queue: those of an earlier release."""
    return Job.objects.in_state(JobState.QUEUED).filter(queue__isnull=True).exists()
