"""Cancelling jobs that wait although their person or project may no longer use what they were submitted to."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from jobs.events import Step
from jobs.models import Job
from jobs.sql.updates import IN_REACH, in_parts
from jobs.states import JobState, What

_MAY_STILL_RUN = RawSQL(IN_REACH, (), output_field=BooleanField())
WITHDRAWN = "its person or project may no longer use this cluster"


def cancel_withdrawn(*, cluster_id: int, job_ids: Iterable[int], now: datetime) -> list[Step]:
    """Cancels those of the jobs in a cluster's reach, and returns the steps to record. Call it in a transaction."""
    steps = []
    for part in in_parts(job_ids):
        waiting = Job.objects.filter(id__in=part, state=JobState.QUEUED, project__isnull=False)
        found = waiting.in_reach_of(cluster_id).filter(~_MAY_STILL_RUN).defer("output", "command", "environment")
        # What another transaction holds is skipped: this one may hold jobs of higher ids.
        jobs = list(found.order_by("id").select_for_update(skip_locked=True, of=("self",)))
        ids = [job.id for job in jobs]
        Job.objects.filter(id__in=ids).update(state=JobState.CANCELLED, finished_at=now, reason=WITHDRAWN)
        steps += [replace(Step.of(job, What.CANCELLED, JobState.CANCELLED), why=WITHDRAWN) for job in jobs]
    return steps
