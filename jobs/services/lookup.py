"""Finding jobs."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from django.db.models import Prefetch

from clusters.callers import Caller, Operator
from clusters.models import CredentialKind
from clusters.validation import check_line, check_range
from jobs.models import MAX_ID, Job, JobEvent, JobQuerySet
from jobs.specs import MAX_NAME, check_labels
from jobs.states import JobState
from rainbow.errors import InvalidArgument

MAX_LOOKUP = 1_000
MAX_PAGE = 1_000
DEFAULT_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which jobs to list; empty means any. `before` is the last id of the page before, 0 for the first page."""

    states: Sequence[JobState] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    size: int = 0
    before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Jobs, newest first, and whether there are more."""

    jobs: list[Job]
    more: bool


def get_jobs(*, caller: Caller, job_ids: Sequence[int], with_events: bool = False) -> dict[int, Job]:
    """The caller's jobs among these (1 to 1,000 ids), by id. Raises InvalidArgument."""
    check_ids(job_ids, highest=MAX_LOOKUP)
    found = Job.objects.visible_to(caller).filter(id__in=job_ids).select_related("cluster", "submitted_by")
    if with_events:
        events = JobEvent.objects.select_related("credential", "operator").order_by("id")
        found = found.prefetch_related(Prefetch("events", queryset=events))
    return {job.id: job for job in found}


def list_jobs(*, caller: Caller, search: Search) -> Page:
    """A page of the caller's jobs without their output and environment. Raises InvalidArgument."""
    size = _check(search)
    ids = _newest(Job.objects.visible_to(caller), caller, search, size + 1)
    jobs = Job.objects.filter(id__in=ids[:size]).select_related("cluster", "submitted_by")
    return Page(jobs=list(jobs.defer("output", "environment").order_by("-id")), more=len(ids) > size)


def check_ids(job_ids: Sequence[int], *, highest: int) -> None:
    if not 1 <= len(job_ids) <= highest:
        raise InvalidArgument(f"must be 1 to {highest:,} ids, not {len(job_ids):,}", field="jobids")


def locked(by: Caller | Operator, job_ids: Sequence[int]) -> dict[int, Job]:
    """The jobs among these that whoever asks may act on, locked in the order of their ids until the commit."""
    reach = Job.objects.visible_to(by) if isinstance(by, Caller) else Job.objects.all()
    jobs = reach.filter(id__in=job_ids).defer("output", "command", "environment").order_by("id")
    return {job.id: job for job in jobs.select_for_update()}


def _check(search: Search) -> int:
    check_labels(search.labels)
    check_line(search.name, field="name", longest=MAX_NAME)
    check_range(search.size, field="page_size", lowest=0, highest=MAX_PAGE)
    return search.size or DEFAULT_PAGE


def _newest(jobs: JobQuerySet, caller: Caller, search: Search, size: int) -> list[int]:
    """Merges the newest of each state: every range is read from the end of an index, however long it is."""
    matching = jobs.filter(id__lt=search.before or MAX_ID + 1)
    if search.name:
        matching = matching.filter(name=search.name)
    for key, value in search.labels.items():
        matching = matching.filter(label_rows__key=key, label_rows__value=value)
    owner = "submitted_by_id" if caller.kind == CredentialKind.TOKEN else "cluster_id"
    ranges = (_ids(matching, owner, state, size) for state in search.states or JobState)
    return list(islice(heapq.merge(*ranges, reverse=True), size))


def _ids(jobs: JobQuerySet, owner: str, state: JobState, size: int) -> Iterable[int]:
    """Ordered by the whole index, so that PostgreSQL does not walk the primary key in search of a rare state."""
    newest = jobs.filter(state=state).order_by(f"-{owner}", "-state", "-id")
    return list(newest.values_list("id", flat=True)[:size])
