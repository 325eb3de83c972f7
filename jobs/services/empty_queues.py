"""Deleting the queues in which nothing waits."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef

from jobs.models import Job, Queue, Serves
from jobs.states import JobState

KEPT_FOR = timedelta(days=1)
_WAITING = Exists(Job.objects.filter(queue_id=OuterRef("id"), state=JobState.QUEUED))


def delete_empty_queues(*, now: datetime) -> int:
    """Notes which queues are empty, and deletes those that were at each call for a day; returns how many."""
    Queue.objects.filter(_WAITING, empty_since__isnull=False).update(empty_since=None)
    Queue.objects.filter(~_WAITING, empty_since__isnull=True).update(empty_since=now)
    old = Queue.objects.filter(~_WAITING, empty_since__lte=now - KEPT_FOR).order_by("id")
    return sum(_delete(queue_id) for queue_id in list(old.values_list("id", flat=True)))


@transaction.atomic
def _delete(queue_id: int) -> int:
    """Locks the queue first: a submission that uses it has committed then, or makes it anew."""
    if not Queue.objects.filter(id=queue_id).select_for_update().exists():
        return 0
    if Job.objects.filter(queue_id=queue_id, state=JobState.QUEUED).exists():
        return 0
    Serves.objects.filter(queue_id=queue_id).delete()
    return Queue.objects.filter(id=queue_id).delete()[0]
