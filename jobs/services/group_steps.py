"""What happens to a group after the transactions that moved its members: one step at a time, each short."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from clusters.callers import Asker
from jobs.events import record
from jobs.models import Job, JobGroup, JobQuerySet, Notification
from jobs.outbox import Told, tell_webhooks
from jobs.queries.groups import counts_of, outcome_of
from jobs.services.cancel import cancel_members
from jobs.services.dependents import settle_group
from jobs.services.placing import DECISIVE
from jobs.services.release import release
from jobs.sql.groups import groups_to_step, members_with_room
from jobs.states import FINAL, UNTAKEN, JobState

# Groups that one look finds.
MOST_GROUPS = 200
# Members that one step changes: some hundredths of a second, for which all other writers on SQLite wait.
BATCH = 100
# A submitter who adds no member for so long adds none any more.
LEFT_OPEN_FOR = timedelta(days=1)
_TAKEN = (JobState.ACCEPTED, JobState.RUNNING, JobState.LOST)
_OF_STEPS = ("attempt", "priority", "state", "owner_id", "project_id", "nodes", "agent", "turn", "submitted_by_id")


def groups_are_going() -> bool:
    return JobGroup.objects.filter(finished_at__isnull=True).exists()


def due_groups(*, among: Collection[int] | None = None, besides: Collection[int] = (), now: datetime) -> list[int]:
    """The ids of groups for which there is something to do, as many as one look finds: `among` these alone, if said,
    and `besides` those.
    """
    return groups_to_step(among=among, besides=besides, left_open_since=now - LEFT_OPEN_FOR, limit=MOST_GROUPS)


@transaction.atomic
def step_group(*, group_id: int, now: datetime) -> bool:
    """Does the next thing for a group, under a lock of its row; returns whether there is more to do at once.

    Where another server is at it, that is left to it. Ends of members lock no group: so a step may come late, and
    finds what it is for in the counts of their states.
    """
    going = JobGroup.objects.filter(id=group_id, finished_at__isnull=True)
    group = going.select_for_update(skip_locked=True, no_key=True).first()
    if group is None:
        return False
    if group.open and group.added_at <= now - LEFT_OPEN_FOR:
        group.open = False
        group.save(update_fields=["open"])
    # Read once the row is locked: none is added to the group or released meanwhile.
    counts = counts_of([group.id])[group.id]
    failed = counts.get(JobState.FAILED, 0)
    if group.stop_after_failures and failed >= group.stop_after_failures and not group.stopped_at:
        _stop(group, f"{failed:,} of its jobs failed", now)
    if group.stopped_at:
        if _cancel_next(group, now):
            return True
    elif group.at_once and _release_next(group, now):
        return True
    if not group.open and not any(jobs for state, jobs in counts.items() if state not in FINAL):
        _finish(group, counts, now)
    return False


def _stop(group: JobGroup, why: str, now: datetime) -> None:
    """What clusters have runs on."""
    group.stopped_at, group.why, group.open = now, why, False
    group.save(update_fields=["stopped_at", "why", "open"])


def _cancel_next(group: JobGroup, now: datetime) -> bool:
    """Cancels the next members; returns whether there may be more: first those that no cluster has."""
    following = _members(group).filter(state__in=UNTAKEN)
    # Whichever come first: to sort all that are left, in each step, would take longer than to cancel some.
    ids = _ids(following)
    if not ids and group.cancelled_to is not None:
        following = _members(group).filter(state__in=_TAKEN)
        ids = _ids(following.filter(id__gt=group.cancelled_to).order_by("id"))
        group.cancelled_to = ids[-1] if ids else None
        group.save(update_fields=["cancelled_to"])
    by = Asker(credential=group.stopped_by_id, account=group.stopped_by_account_id)
    # A cluster may have accepted some since: after failures those run on.
    cancel_members(following.filter(id__in=ids), by=by, reason=group.why, now=now)
    return bool(ids)


def _release_next(group: JobGroup, now: datetime) -> bool:
    """Queues as many of the members that are held as there is room for; returns whether there may be more.

    What is blocked for something else, as until its next attempt, keeps its room. SQLite finds a truth value by an
    index only where it is compared.
    """
    room = group.at_once - members_with_room(group.id)
    if room <= 0:
        return False
    free = _members(group).filter(state=JobState.BLOCKED, held_by_group__in=[True], unmet=0).order_by("id")
    ids = list(free.values_list("id", flat=True)[: min(room, BATCH)])
    # Another transaction may be at one of them, as one that cancels it.
    found = free.filter(id__in=ids).only(*DECISIVE, *_OF_STEPS).select_for_update(skip_locked=True)
    jobs = list(found)
    record([(step, None) for step in release(jobs, now=now, why="its turn in its group")], now=now)
    return len(jobs) == BATCH


def _members(group: JobGroup) -> JobQuerySet:
    """SQLite uses an index of members alone only where it is said that they are some."""
    return Job.objects.filter(group=group.id, group__gt=0)


def _ids(jobs: QuerySet[Job]) -> list[int]:
    """Of the next, in their order."""
    return sorted(jobs.values_list("id", flat=True)[:BATCH])


def _finish(group: JobGroup, counts: Mapping[JobState, int], now: datetime) -> None:
    """The one place where a group ends."""
    # Waits for submissions of jobs that are to wait for it (jobs.services.parents).
    JobGroup.objects.select_for_update().get(id=group.id)
    group.finished_at, group.outcome = now, outcome_of(counts)
    group.save(update_fields=["finished_at", "outcome"])
    settle_group(group_id=group.id, outcome=group.outcome, now=now)
    if group.project_id:
        data = {"group": group.id, "name": group.name, "counts": {state.value: jobs for state, jobs in counts.items()}}
        kind = Notification.GROUP_FINISHED
        told = Told(project_id=group.project_id, kind=kind, cluster_id=group.cluster_id, data=data)
        tell_webhooks([told], now=now)
