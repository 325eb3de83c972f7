"""Failing jobs that still wait at the time at which they expire."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.db import transaction
from django.db.models import Case, TextField, Value, When

from jobs.events import Step, record
from jobs.models import Job
from jobs.queries.expired import Expired
from jobs.services.dependents import settle_and_release
from jobs.states import UNTAKEN, JobState, What


@transaction.atomic
def fail_expired(*, expired: Sequence[Expired], now: datetime) -> int:
    """Fails those of the jobs that still wait; what a cluster accepted meanwhile goes on. Returns how many failed."""
    reasons = {one.job_id: one.reason for one in expired}
    waiting = Job.objects.filter(id__in=reasons, state__in=UNTAKEN, expires_at__lte=now)
    waiting = waiting.only(
        "id", "cluster_id", "priority", "attempt", "state", "owner_id", "project_id", "nodes", "agent", "group"
    )
    jobs = list(waiting.order_by("id").select_for_update(skip_locked=True))
    if not jobs:
        return 0
    cases = [When(id=job.id, then=Value(reasons[job.id])) for job in jobs]
    Job.objects.filter(id__in=[job.id for job in jobs]).update(
        state=JobState.FAILED, finished_at=now, reason=Case(*cases, output_field=TextField())
    )
    steps = [replace(Step.of(job, What.EXPIRED, JobState.FAILED), why=reasons[job.id]) for job in jobs]
    steps += settle_and_release(steps, now=now)
    record([(step, None) for step in steps], now=now)
    return len(jobs)
