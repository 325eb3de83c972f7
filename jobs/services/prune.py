"""Deleting old records."""

from collections import Counter
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from clusters.models import Cluster
from jobs.models import Job, JobEvent, JobLabel
from jobs.sql.inserts import add_counts
from jobs.states import JobState

_BATCH = 1_000
_Counted = tuple[int, int, str, int]


def prune_jobs(*, before: datetime) -> int:
    """Deletes jobs that ended before a time, and those handed over for good before it; returns how many.

    Works in short transactions: other writers wait only briefly, and it may be interrupted at any moment.
    """
    handed_over = Q(state=JobState.ACCEPTED, agent="", accepted_at__lt=before)
    clusters = Cluster.objects.values_list("id", flat=True)
    deleted = 0
    for old in (Q(finished_at__lt=before), *(Q(cluster_id=id) & handed_over for id in clusters)):
        while number := _prune(old):
            deleted += number
    return deleted


@transaction.atomic
def _prune(old: Q) -> int:
    found = Job.objects.filter(old).select_for_update(skip_locked=True)
    rows: list[_Counted] = list(found.values_list("id", "cluster_id", "state", "priority")[:_BATCH])
    ids = [row[0] for row in rows]
    JobEvent.objects.filter(job_id__in=ids).delete()
    JobLabel.objects.filter(job_id__in=ids).delete()
    Job.objects.filter(id__in=ids).delete()
    add_counts({key: -number for key, number in Counter(row[1:] for row in rows).items()})
    return len(rows)
