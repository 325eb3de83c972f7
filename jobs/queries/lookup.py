"""Finding jobs."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Prefetch

from clusters.callers import Caller, Operator
from jobs.models import Job, JobEvent, JobQuerySet
from jobs.queries.reply_size import BRIEF, WHOLE, ids_that_fit
from jobs.queries.search import Search, check_search, ranges_of
from jobs.specs import UNLISTED_FIELDS
from rainbow.errors import InvalidArgument

MAX_LOOKUP = 1_000
DEFAULT_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Jobs in order, and whether there are more.

    `looked_until` is the last id that a search without an index reached, 0 if it reached the end.
    """

    jobs: list[Job]
    more: bool
    looked_until: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Jobs, the ids that do not exist or that the caller may not see, and those whose jobs did not fit one answer."""

    jobs: list[Job]
    missing: list[int]
    remaining: list[int]


def get_jobs(
    *, by: Caller | Operator, job_ids: Sequence[int], with_events: bool = False, brief: bool = False
) -> dict[int, Job]:
    """The jobs among these (1 to 1,000 ids) that the caller may see, by id. Raises InvalidArgument.

    `brief` leaves unread what lists of jobs leave out.
    """
    check_ids(job_ids, highest=MAX_LOOKUP)
    found = (
        within_reach(by)
        .filter(id__in=job_ids)
        .select_related("cluster", "submitted_by", "taken_from")
        .defer("cluster__facts")
    )
    if brief:
        found = found.defer("output", *UNLISTED_FIELDS)
    if with_events:
        events = JobEvent.objects.select_related("credential", "operator").order_by("id")
        found = found.prefetch_related(Prefetch("events", queryset=events))
    return {job.id: job for job in found}


def find_jobs(
    *, by: Caller | Operator, job_ids: Sequence[int], with_events: bool = False, brief: bool = False
) -> Found:
    """The same in the order of the ids, as many as fit one answer. Raises InvalidArgument."""
    check_ids(job_ids, highest=MAX_LOOKUP)
    wanted = list(dict.fromkeys(job_ids))
    # One job always fits.
    columns = BRIEF if brief else WHOLE
    fitting, remaining = ids_that_fit(within_reach(by), wanted, columns) if len(wanted) > 1 else (wanted, [])
    found = get_jobs(by=by, job_ids=fitting, with_events=with_events, brief=brief) if fitting else {}
    there = found.keys() | set(remaining)
    return Found(
        jobs=[found[job_id] for job_id in fitting if job_id in found],
        missing=[job_id for job_id in wanted if job_id not in there],
        remaining=remaining,
    )


def list_jobs(*, by: Caller | Operator, search: Search) -> Page:
    """A page of the jobs that the caller may see, without output and environment. Raises InvalidArgument.

    It costs the same on every page and at any number of jobs. Jobs with much text may fill it before its size is
    reached: then there is more.
    """
    check_search(search)
    size = search.size or DEFAULT_PAGE
    ranges, looked_until = ranges_of(search, by)
    ids = ranges.first_ids(size + 1)
    fitting, _ = ids_that_fit(Job.objects.all(), ids[:size], BRIEF)
    jobs = (
        Job.objects.filter(id__in=fitting)
        .select_related("cluster", "submitted_by", "taken_from")
        .defer("cluster__facts")
    )
    in_order = jobs.defer("output", *UNLISTED_FIELDS).order_by("id" if search.oldest_first else "-id")
    return Page(jobs=list(in_order), more=len(ids) > len(fitting), looked_until=looked_until)


def count_jobs(*, by: Caller | Operator, search: Search, most: int) -> int:
    """How many jobs match, counted no further than `most` (1 to 1,000,000), nor than a search for text goes."""
    ranges, _ = ranges_of(search, by)
    return len(ranges.first_ids(most))


def check_ids(job_ids: Sequence[int], *, highest: int) -> None:
    if not 1 <= len(job_ids) <= highest:
        raise InvalidArgument(f"must be 1 to {highest:,} ids, not {len(job_ids):,}", field="jobids")


def within_reach(by: Caller | Operator) -> JobQuerySet:
    """The jobs that the caller may see and act on; an operator all."""
    return Job.objects.visible_to(by) if isinstance(by, Caller) else Job.objects.all()


def locked(by: Caller | Operator, job_ids: Sequence[int]) -> dict[int, Job]:
    """The jobs among these that the caller may act on, locked in the order of their ids until the commit."""
    jobs = within_reach(by).filter(id__in=job_ids).defer("output", "command", "environment").order_by("id")
    return {job.id: job for job in jobs.select_for_update()}
