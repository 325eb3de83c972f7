"""What happens to a group after the transactions that moved its members: one step at a time, each short."""

from datetime import datetime, timedelta

from django.db import transaction

from jobs.models import JobGroup
from jobs.queries.groups import counts_of
from jobs.sql.groups import groups_to_step
from jobs.states import FINAL

# Groups that one look finds.
MOST_GROUPS = 200
# A submitter who adds no member for so long adds none any more.
LEFT_OPEN_FOR = timedelta(days=1)


def groups_are_going() -> bool:
    return JobGroup.objects.filter(finished_at__isnull=True).exists()


def due_groups(*, now: datetime) -> list[int]:
    """The ids of groups for which there is something to do, as many as one look finds."""
    return groups_to_step(left_open_since=now - LEFT_OPEN_FOR, limit=MOST_GROUPS)


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
    if not group.open and not any(jobs for state, jobs in counts.items() if state not in FINAL):
        _finish(group, now)
    return False


def _finish(group: JobGroup, now: datetime) -> None:
    """The one place where a group ends."""
    group.finished_at = now
    group.save(update_fields=["finished_at"])
