"""Deleting the queues in which nothing waits."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from jobs.models import Job, Queue, Serves
from jobs.states import JobState

KEPT_FOR = timedelta(days=1)
_PART = 1_000
_WAITING = Exists(Job.objects.in_state(JobState.QUEUED).filter(queue_id=OuterRef("id")))


def delete_empty_queues(*, now: datetime) -> int:
    """Notes which queues are empty, and deletes those that were at each call for a day; returns how many."""
    _note(Queue.objects.filter(_WAITING, empty_since__isnull=False), None)
    _note(Queue.objects.filter(~_WAITING, empty_since__isnull=True), now)
    old = Queue.objects.filter(~_WAITING, empty_since__lte=now - KEPT_FOR).order_by("id")
    return sum(_delete(queue_id) for queue_id in list(old.values_list("id", flat=True)))


@transaction.atomic
def _note(queues: QuerySet[Queue], empty_since: datetime | None) -> None:
    """Locks them in the order of their ids, and leaves to another transaction what that has locked."""
    locked = queues.order_by("id").select_for_update(skip_locked=True, no_key=True, of=("self",))
    ids = list(locked.values_list("id", flat=True))
    for start in range(0, len(ids), _PART):
        Queue.objects.filter(id__in=ids[start : start + _PART]).update(empty_since=empty_since)


@transaction.atomic
def _delete(queue_id: int) -> int:
    """Locks the queue first: a submission that uses it has committed then, or makes it anew."""
    if not Queue.objects.filter(id=queue_id).select_for_update().exists():
        return 0
    if Job.objects.in_state(JobState.QUEUED).filter(queue_id=queue_id).exists():
        return 0
    Serves.objects.filter(queue_id=queue_id).delete()
    return Queue.objects.filter(id=queue_id).delete()[0]
