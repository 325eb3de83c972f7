"""Finding jobs."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from django.db.models import Prefetch, Q, QuerySet

from clusters.callers import Caller, Operator
from clusters.models import CredentialKind
from clusters.validation import check_line, check_range
from jobs.models import MAX_ID, Job, JobEvent, JobLabel, JobQuerySet
from jobs.specs import MAX_NAME, check_labels
from jobs.states import JobState
from rainbow.errors import InvalidArgument

MAX_LOOKUP = 1_000
MAX_PAGE = 1_000
DEFAULT_PAGE = 100
# Ids rise with the time of submission, but for what several servers submit at the same moment.
_SLACK = timedelta(minutes=1)
# How many jobs of a state a search for text looks through at a time.
_WINDOW = 5_000
# A label that so few jobs have is looked up by itself; one that more have is met soon enough on the way.
_FEW = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which jobs to list; empty, 0 and None mean any.

    `last` is the last id of the page before, 0 for the first page. `size` is 1 to 1,000; 0 means 100.
    `text` is part of the name or, if `in_commands`, of the command, in any case; no index finds it, so only the
    newest 5,000 jobs of each state are looked through, and the page says how far.
    """

    states: Sequence[JobState] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    text: str = ""
    in_commands: bool = False
    cluster_id: int | None = None
    submitted_by: int | None = None
    submitted_after: datetime | None = None
    submitted_before: datetime | None = None
    oldest_first: bool = False
    size: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Jobs in order, and whether there are more.

    `looked_until` is the last id that a search for text came to, 0 if it came to the end.
    """

    jobs: list[Job]
    more: bool
    looked_until: int = 0


def get_jobs(
    *, by: Caller | Operator, job_ids: Sequence[int], with_events: bool = False, brief: bool = False
) -> dict[int, Job]:
    """The jobs among these (1 to 1,000 ids) that whoever asks may see, by id. Raises InvalidArgument.

    `brief` leaves their output and environment unread.
    """
    check_ids(job_ids, highest=MAX_LOOKUP)
    found = within_reach(by).filter(id__in=job_ids).select_related("cluster", "submitted_by")
    if brief:
        found = found.defer("output", "environment")
    if with_events:
        events = JobEvent.objects.select_related("credential", "operator").order_by("id")
        found = found.prefetch_related(Prefetch("events", queryset=events))
    return {job.id: job for job in found}


def list_jobs(*, by: Caller | Operator, search: Search) -> Page:
    """A page of the jobs that whoever asks may see, without output and environment. Raises InvalidArgument.

    It costs the same on every page and at any number of jobs.
    """
    check_search(search)
    size = search.size or DEFAULT_PAGE
    matching, looked_until = _within_window(matching_jobs(within_reach(by), search), _owner(by, search), search)
    ids = _ids_in_order(matching, _owner(by, search), search, size + 1)
    jobs = Job.objects.filter(id__in=ids[:size]).select_related("cluster", "submitted_by")
    in_order = jobs.defer("output", "environment").order_by("id" if search.oldest_first else "-id")
    return Page(jobs=list(in_order), more=len(ids) > size, looked_until=looked_until)


def count_jobs(*, by: Caller | Operator, search: Search, most: int) -> int:
    """How many jobs match, counted no further than `most` (1 to 1,000,000), nor than a search for text goes."""
    matching, _ = _within_window(matching_jobs(within_reach(by), search), _owner(by, search), search)
    return len(_ids_in_order(matching, _owner(by, search), search, most))


def check_ids(job_ids: Sequence[int], *, highest: int) -> None:
    if not 1 <= len(job_ids) <= highest:
        raise InvalidArgument(f"must be 1 to {highest:,} ids, not {len(job_ids):,}", field="jobids")


def within_reach(by: Caller | Operator) -> JobQuerySet:
    """The jobs that whoever asks may see and act on; an operator reaches all."""
    return Job.objects.visible_to(by) if isinstance(by, Caller) else Job.objects.all()


def locked(by: Caller | Operator, job_ids: Sequence[int]) -> dict[int, Job]:
    """The jobs among these that whoever asks may act on, locked in the order of their ids until the commit."""
    jobs = within_reach(by).filter(id__in=job_ids).defer("output", "command", "environment").order_by("id")
    return {job.id: job for job in jobs.select_for_update()}


def check_search(search: Search) -> None:
    """Raises InvalidArgument."""
    check_labels(search.labels)
    check_line(search.name, field="name", longest=MAX_NAME)
    check_line(search.text, field="text", longest=MAX_NAME)
    check_range(search.size, field="page_size", lowest=0, highest=MAX_PAGE)


def _ids_in_order(matching: JobQuerySet, owner: Sequence[str], search: Search, size: int) -> list[int]:
    """Merges a range of each state: every range is read from its end of an index, however long it is."""
    ranges = [list(ids[:size]) for ids in _ranges(matching, owner, search)]
    return list(islice(heapq.merge(*ranges, reverse=not search.oldest_first), size))


def _ranges(matching: JobQuerySet, owner: Sequence[str], search: Search) -> Iterator[QuerySet[Job, int]]:
    """The ids of each state in order."""
    sign = "" if search.oldest_first else "-"
    # The whole index is named, so that PostgreSQL does not walk the primary key in search of a rare state.
    order = [sign + column for column in (*owner, "state", "id")]
    for state in search.states or JobState:
        yield matching.filter(state=state).order_by(*order).values_list("id", flat=True)


def _within_window(matching: JobQuerySet, owner: Sequence[str], search: Search) -> tuple[JobQuerySet, int]:
    """The jobs that hold the text, of the next few; and the last id of those few, 0 if there are no more."""
    if not search.text:
        return matching, 0
    ends = [end for ids in _ranges(matching, owner, search) for end in ids[_WINDOW - 1 : _WINDOW]]
    if not ends:
        return matching.filter(holds(search)), 0
    end = min(ends) if search.oldest_first else max(ends)
    bound = {"id__lte" if search.oldest_first else "id__gte": end}
    return matching.filter(holds(search), **bound), end


def holds(search: Search) -> Q:
    """That the name, or the command, has the text of a search in it."""
    named = Q(name__icontains=search.text)
    return named | Q(command__icontains=search.text) if search.in_commands else named


def matching_jobs(jobs: JobQuerySet, search: Search) -> JobQuerySet:
    """Those of the jobs that match all but the states and the text of a search."""
    exact = {"name": search.name, "cluster_id": search.cluster_id, "submitted_by_id": search.submitted_by}
    jobs = jobs.filter(**{column: value for column, value in exact.items() if value})
    for key, value in search.labels.items():
        jobs = jobs.filter(label_rows__key=key, label_rows__value=value)
        few = list(_with_label(key, value).values_list("job_id", flat=True)[: _FEW + 1])
        if len(few) <= _FEW:
            jobs = jobs.filter(id__in=few)
    if search.submitted_after:
        jobs = jobs.filter(submitted_at__gte=search.submitted_after)
    if search.submitted_before:
        jobs = jobs.filter(submitted_at__lt=search.submitted_before)
    first, last = _id_bounds(search)
    return jobs.filter(id__gte=first, id__lte=last)


def _with_label(key: str, value: str) -> QuerySet[JobLabel]:
    return JobLabel.objects.filter(key=key, value=value).order_by("key", "value", "job_id")


def _id_bounds(search: Search) -> tuple[int, int]:
    """The ids that a page may hold: an index over ids finds them, where one over times would not serve."""
    first, last = 1, MAX_ID
    if search.last:
        first, last = (search.last + 1, last) if search.oldest_first else (first, search.last - 1)
    ids = Job.objects.values_list("id", flat=True)
    if search.submitted_after:
        earlier = ids.filter(submitted_at__lt=_shifted(search.submitted_after, -_SLACK)).order_by("-submitted_at")
        first = max(first, (earlier.first() or 0) + 1)
    if search.submitted_before:
        later = ids.filter(submitted_at__gt=_shifted(search.submitted_before, _SLACK)).order_by("submitted_at")
        last = min(last, (later.first() or last + 1) - 1)
    return first, last


def _shifted(at: datetime, span: timedelta) -> datetime:
    """No further than the calendar goes."""
    try:
        return at + span
    except OverflowError:
        return at


def _owner(by: Caller | Operator, search: Search) -> tuple[str, ...]:
    """The column that leads the index for this search."""
    if isinstance(by, Caller):
        return ("submitted_by_id",) if by.kind == CredentialKind.TOKEN else ("cluster_id",)
    if search.cluster_id:
        return ("cluster_id",)
    return ("submitted_by_id",) if search.submitted_by else ()
