"""Finding groups, with the counts of their members."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from clusters.callers import Caller, Operator
from clusters.validation import check_range
from jobs.models import MAX_ID, JobGroup
from jobs.queries.found_job import FoundJob, read_jobs
from jobs.sight import Sight, owned_by, seen_by, sight_of
from jobs.sql.groups import group_totals
from jobs.sql.reads import ids_in_ranges
from jobs.states import JobState

MAX_PAGE = 1_000
DEFAULT_PAGE = 100
# Of its members that failed so many are shown, with their reasons.
FIRST_FAILURES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundGroup:
    """A group with how many of its members are in each state; states without members are left out.

    `failures` are the first of those that failed, where they were asked for.
    """

    id: int
    name: str
    cluster: str
    owner: str
    project: str
    submitted_by: str
    made_at: datetime
    open: bool
    at_once: int
    stop_after_failures: int
    stopped_at: datetime | None
    why: str
    finished_at: datetime | None
    counts: dict[JobState, int]
    failures: Sequence[FoundJob] = ()

    @property
    def members(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPage:
    groups: list[FoundGroup]
    more: bool


def get_group(*, by: Caller | Operator, group_id: int) -> FoundGroup | None:
    """The group if the caller may see it, with the first of its members that failed."""
    group = _with_names(visible_groups(by)).filter(id=group_id).first()
    if group is None:
        return None
    counts = counts_of([group_id])[group_id]
    return _found(group, counts, _first_failures(group_id, by) if JobState.FAILED in counts else [])


def _first_failures(group_id: int, by: Caller | Operator) -> list[FoundJob]:
    """Those that the caller sees: one that was moved is not its former cluster's."""
    owners = [{"group": group_id}]
    ids = sorted(ids_in_ranges(owners, [JobState.FAILED], (1, MAX_ID), oldest_first=True, limit=FIRST_FAILURES))
    jobs = read_jobs(ids, sight=sight_of(by), brief=True) if ids else {}
    return [jobs[job_id] for job_id in ids if job_id in jobs]


def list_groups(*, by: Caller | Operator, going: bool = False, size: int = 0, last: int = 0) -> GroupPage:
    """A page of the groups that the caller may see, the newest first; those `going` are not finished.

    `last` is the last id of the page before, 0 for the first. Raises InvalidArgument.
    """
    check_range(size, field="page_size", lowest=0, highest=MAX_PAGE)
    most = size or DEFAULT_PAGE
    ids = _newest(by, going=going, last=last, most=most + 1)
    groups = list(_with_names(JobGroup.objects.filter(id__in=ids[:most])).order_by("-id"))
    counts = counts_of([group.id for group in groups])
    return GroupPage(groups=[_found(group, counts[group.id]) for group in groups], more=len(ids) > most)


def visible_groups(by: Caller | Operator) -> QuerySet[JobGroup]:
    return JobGroup.objects.filter(_within(seen_by(by))) if isinstance(by, Caller) else JobGroup.objects.all()


def own_groups(by: Caller | Operator) -> QuerySet[JobGroup]:
    """Those that the caller may act on; an operator on all."""
    return JobGroup.objects.filter(_within(owned_by(by))) if isinstance(by, Caller) else JobGroup.objects.all()


def counts_of(group_ids: Collection[int]) -> dict[int, dict[JobState, int]]:
    counts: dict[int, dict[JobState, int]] = {group_id: {} for group_id in group_ids}
    for group_id, state, jobs in group_totals(list(group_ids)) if group_ids else ():
        if jobs:
            counts[group_id][JobState(state)] = int(jobs)
    return {group_id: {state: its[state] for state in JobState if state in its} for group_id, its in counts.items()}


def outcome_of(counts: Mapping[JobState, int]) -> JobState:
    """Of a group whose members are over: completed if all were, failed if some failed, and else cancelled."""
    if counts.get(JobState.FAILED):
        return JobState.FAILED
    return JobState.CANCELLED if counts.get(JobState.CANCELLED) else JobState.COMPLETED


def _newest(by: Caller | Operator, *, going: bool, last: int, most: int) -> list[int]:
    """A merge of one range of an index for each column by which the caller sees groups."""
    groups = JobGroup.objects.filter(id__lt=last) if last else JobGroup.objects.all()
    if going:
        groups = groups.filter(finished_at__isnull=True)
    ranges = [groups]
    if isinstance(by, Caller):
        sight = seen_by(by)
        ranges = [groups.filter(_narrowing(sight), **{column: value}) for column, value in sight.owners]
    ids = {id for one in ranges for id in one.order_by("-id").values_list("id", flat=True)[:most]}
    return sorted(ids, reverse=True)[:most]


def _within(sight: Sight) -> Q:
    within = Q(pk__in=())
    for column, value in sight.owners:
        within |= Q(**{column: value})
    return within & _narrowing(sight)


def _narrowing(sight: Sight) -> Q:
    narrowing = Q(project_id=sight.project_id) if sight.project_id else Q()
    return narrowing & Q(cluster_id__in=sight.cluster_ids) if sight.cluster_ids else narrowing


def _with_names(groups: QuerySet[JobGroup]) -> QuerySet[JobGroup]:
    return groups.select_related("cluster", "submitted_by", "owner", "project").defer("cluster__facts")


def _found(group: JobGroup, counts: dict[JobState, int], failures: Sequence[FoundJob] = ()) -> FoundGroup:
    return FoundGroup(
        id=group.id,
        name=group.name,
        cluster=group.cluster.name,
        owner=group.owner.get_username() if group.owner else "",
        project=group.project.name if group.project else "",
        submitted_by=group.submitted_by.label if group.submitted_by else "",
        made_at=group.made_at,
        open=group.open,
        at_once=group.at_once,
        stop_after_failures=group.stop_after_failures,
        stopped_at=group.stopped_at,
        why=group.why,
        finished_at=group.finished_at,
        counts=counts,
        failures=failures,
    )
