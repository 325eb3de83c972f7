"""Finding jobs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from clusters.callers import Caller, Operator
from jobs.models import Job, JobAttempt, JobEvent, JobQuerySet
from jobs.queries.found_job import FoundJob, read_jobs, read_jobs_without_outputs
from jobs.queries.reply_size import BRIEF, WHOLE, ids_that_fit, number_that_fits
from jobs.queries.search import Search, check_search, ranges_of
from jobs.sight import owned_by, seen_by, sight_of
from jobs.specs import LONG_FIELDS
from jobs.sql.reads import sizes_of_jobs
from rainbow.errors import InvalidArgument

MAX_LOOKUP = 1_000
DEFAULT_PAGE = 100
# The earlier attempts that are shown of a job, the last of them.
MAX_ATTEMPTS = 100
MAX_RESUBMISSIONS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Jobs in order, and whether there are more: after the last of them, so there is one then.

    `looked_until` is the last id that a search without an index reached, 0 if it reached the end.
    """

    jobs: list[FoundJob]
    more: bool
    looked_until: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPage:
    """The same with the ids of its jobs alone."""

    ids: list[int]
    more: bool
    looked_until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Jobs, the ids that do not exist or that the caller may not see, and those whose jobs did not fit one answer."""

    jobs: list[FoundJob]
    missing: list[int]
    remaining: list[int]


def get_jobs(
    *, by: Caller | Operator, job_ids: Sequence[int], with_events: bool = False, brief: bool = False
) -> dict[int, FoundJob]:
    """The jobs among these (1 to 1,000 ids) that the caller may see, by id. Raises InvalidArgument.

    `brief` leaves unread what lists of jobs leave out.
    """
    check_ids(job_ids, highest=MAX_LOOKUP)
    found = read_jobs(job_ids, sight=sight_of(by), brief=brief)
    if not brief:
        _add_attempts(found)
        _add_resubmissions(found, by)
    if with_events:
        _add_events(found)
    return found


def find_jobs(
    *, by: Caller | Operator, job_ids: Sequence[int], with_events: bool = False, brief: bool = False
) -> Found:
    """The same in the order of the ids, as many as fit one answer. Raises InvalidArgument."""
    check_ids(job_ids, highest=MAX_LOOKUP)
    wanted = list(dict.fromkeys(job_ids))
    # One job always fits.
    columns = BRIEF if brief else WHOLE
    fitting, remaining = ids_that_fit(wanted, columns, sight_of(by)) if len(wanted) > 1 else (wanted, [])
    found = get_jobs(by=by, job_ids=fitting, with_events=with_events, brief=brief) if fitting else {}
    there = found.keys() | set(remaining)
    return Found(
        jobs=[found[job_id] for job_id in fitting if job_id in found],
        missing=[job_id for job_id in wanted if job_id not in there],
        remaining=remaining,
    )


def find_asked(*, by: Caller, job_ids: Sequence[int], changed: Mapping[str, int]) -> Found:
    """What jobs asked for, without outputs and what became of them, as many as may be submitted again together.

    That is as much as fits one answer, where each has these fields of so many bytes in place of its own. Raises
    InvalidArgument.
    """
    check_ids(job_ids, highest=MAX_LOOKUP)
    wanted, sight = list(dict.fromkeys(job_ids)), seen_by(by)
    columns = ["reason", *(name for name in LONG_FIELDS if name not in changed)]
    sizes = sizes_of_jobs(wanted, columns=columns, sight=sight)
    there, own = [job_id for job_id in wanted if job_id in sizes], sum(changed.values())
    number = number_that_fits(sizes[job_id] + own for job_id in there)
    found = read_jobs_without_outputs(there[:number], sight=sight) if number else {}
    return Found(
        jobs=list(found.values()),
        missing=[job_id for job_id in wanted if job_id not in sizes],
        remaining=there[number:],
    )


def list_jobs(*, by: Caller | Operator, search: Search) -> Page:
    """A page of the jobs that the caller may see, without output and environment. Raises InvalidArgument.

    It costs the same on every page and at any number of jobs. Jobs with much text may fill it before its size is
    reached: then there is more.
    """
    found = find_page(by=by, search=search)
    jobs = read_jobs(found.ids, sight=None, brief=True) if found.ids else {}
    in_order = [jobs[job_id] for job_id in found.ids if job_id in jobs]
    if found.more and not in_order:
        # All of them were deleted meanwhile.
        return list_jobs(by=by, search=replace(search, last=found.ids[-1]))
    return Page(jobs=in_order, more=found.more, looked_until=found.looked_until)


def find_page(*, by: Caller | Operator, search: Search) -> FoundPage:
    """The ids of the jobs of such a page. Raises InvalidArgument."""
    found = find_ids(by=by, search=search)
    fitting, rest = ids_that_fit(found.ids, BRIEF, None) if found.ids else ([], [])
    if found.more and not fitting:
        # All of them were deleted meanwhile.
        return find_page(by=by, search=replace(search, last=found.ids[-1]))
    return replace(found, ids=fitting, more=found.more or bool(rest))


def find_ids(*, by: Caller | Operator, search: Search) -> FoundPage:
    """The same of all jobs of the page, whether or not they fit one answer. Raises InvalidArgument."""
    check_search(search)
    size = search.size or DEFAULT_PAGE
    ranges, looked_until = ranges_of(search, by)
    ids = ranges.first_ids(size + 1)
    return FoundPage(ids=ids[:size], more=len(ids) > size, looked_until=looked_until)


def count_jobs(*, by: Caller | Operator, search: Search, most: int) -> int:
    """How many jobs match, counted no further than `most` (1 to 1,000,000), nor than a search for text goes."""
    ranges, _ = ranges_of(search, by)
    return len(ranges.first_ids(most))


def check_ids(job_ids: Sequence[int], *, highest: int) -> None:
    if not 1 <= len(job_ids) <= highest:
        raise InvalidArgument(f"must be 1 to {highest:,} ids, not {len(job_ids):,}", field="jobids")


def _add_events(jobs: Mapping[int, FoundJob]) -> None:
    events = (
        JobEvent.objects.filter(job_id__in=jobs)
        .select_related("credential__person", "credential__project", "operator")
        .order_by("id")
    )
    by_job: dict[int, list[JobEvent]] = {job_id: [] for job_id in jobs}
    for event in events:
        by_job[event.job_id].append(event)
    for job_id, its in by_job.items():
        jobs[job_id].events = its


def _add_attempts(jobs: Mapping[int, FoundJob]) -> None:
    """Only jobs that were put back have earlier ones."""
    for job in jobs.values():
        if job.attempt > 1:
            job.attempts = earlier_attempts(job.id)


def _add_resubmissions(jobs: Mapping[int, FoundJob], by: Caller | Operator) -> None:
    for job_id, ids in resubmissions_of(by, jobs).items():
        jobs[job_id].resubmissions = ids


def resubmissions_of(by: Caller | Operator, job_ids: Iterable[int]) -> dict[int, list[int]]:
    """For each of these jobs that was submitted again the ids of the new ones that the caller may see, newest first.

    Of one job up to 100, of many up to 10,000 together.
    """
    wanted = list(job_ids)
    if not wanted:
        return {}
    new = within_reach(by).filter(resubmission_of__in=wanted, resubmission_of__gt=0).order_by("-id")
    found: dict[int, list[int]] = {}
    for job_id, old in new.values_list("id", "resubmission_of")[: min(MAX_RESUBMISSIONS * len(wanted), 10_000)]:
        if len(its := found.setdefault(old, [])) < MAX_RESUBMISSIONS:
            its.append(job_id)
    return found


def earlier_attempts(job_id: int) -> list[JobAttempt]:
    """The last 100 of them, oldest first."""
    newest = JobAttempt.objects.filter(job_id=job_id).select_related("cluster").order_by("-attempt")
    return list(newest[:MAX_ATTEMPTS])[::-1]


def within_reach(by: Caller | Operator) -> JobQuerySet:
    """The jobs that the caller may see; an operator all."""
    return Job.objects.visible_to(by) if isinstance(by, Caller) else Job.objects.all()


def locked(by: Caller | Operator, job_ids: Sequence[int]) -> dict[int, Job]:
    """The jobs among these that the caller may act on, locked in the order of their ids until the commit."""
    own = Job.objects.owned_by(by) if isinstance(by, Caller) else Job.objects.all()
    jobs = own.filter(id__in=job_ids).defer("output", "command", "environment").order_by("id")
    return {job.id: job for job in jobs.select_for_update()}


def only_seen(by: Caller | Operator, job_ids: Sequence[int]) -> set[int]:
    """Which of these the caller may see and not act on, as a member of a project whose jobs its members share."""
    if not job_ids or not isinstance(by, Caller) or seen_by(by) == owned_by(by):
        return set()
    return set(within_reach(by).filter(id__in=job_ids).values_list("id", flat=True))
