"""Trying jobs again whose attempts ended for a cause for which their submitters wished that."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from django.db import transaction

from jobs.events import Step, record
from jobs.models import Job, JobQuerySet
from jobs.retries import AttemptEnd, pause_before
from jobs.services.attempts import note_attempts
from jobs.services.placing import DECISIVE
from jobs.services.release import release
from jobs.sql.updates import Retried, write_retried
from jobs.states import JobState, What
from jobs.usage import used_by

_BATCH = 500
# What a step tells of a job, and its turn.
_OF_STEPS = ("attempt", "priority", "state", "owner_id", "project_id", "nodes", "agent", "turn", "submitted_by_id")


def retry(ends: Sequence[AttemptEnd], *, now: datetime) -> list[Step]:
    """Blocks jobs until their next attempts are due, and gives the steps to record.

    The time counts as one thing that they wait for: all others are over since their first attempts.
    """
    note_attempts(ends)
    steps = [step for end in ends for step in _steps(end, now)]
    write_retried([_retried(end, now) for end in ends])
    return steps


def _steps(end: AttemptEnd, now: datetime) -> Iterator[Step]:
    job = end.job
    if end.started_at and not job.started_at:
        job.started_at = end.started_at
        yield Step.of(job, What.STARTED, JobState.RUNNING)
        job.state = JobState.RUNNING.value
    used = used_by(job, until=end.ended_at, now=now)
    step = replace(Step.of(job, What.RETRIED, JobState.BLOCKED), attempt=job.attempt + 1, why=end.reason)
    yield replace(step, cluster_id=_home(job), from_cluster_id=job.cluster_id, used=used)


def _retried(end: AttemptEnd, now: datetime) -> Retried:
    job = end.job
    return Retried(
        retry_at=now + pause_before(job.retries + 1),
        retries=job.retries + 1,
        cluster_id=_home(job),
        attempt=job.attempt + 1,
        reason=f"after attempt {job.attempt}: {end.reason or end.end_cause or 'lost'}",
        output=end.output or None,
        job_id=job.id,
    )


def _home(job: Job) -> int:
    return job.taken_from_id or job.cluster_id


def retries_are_due(*, now: datetime) -> bool:
    return _due(now).exists()


@transaction.atomic
def queue_due_retries(*, now: datetime) -> int:
    """Queues up to 500 jobs that are due, those first that waited longest; returns how many.

    What another transaction has locked is left to the next call.
    """
    due = list(_due(now).order_by("retry_at").values_list("id", flat=True)[:_BATCH])
    found = _due(now).filter(id__in=due).only(*DECISIVE, *_OF_STEPS)
    jobs = list(found.order_by("id").select_for_update(skip_locked=True))
    steps = release(jobs, now=now, why="it is tried again")
    Job.objects.filter(id__in=[job.id for job in jobs]).update(retry_at=None)
    record([(step, None) for step in steps], now=now)
    return len(jobs)


def _due(now: datetime) -> JobQuerySet:
    return Job.objects.in_state(JobState.BLOCKED).filter(retry_at__lte=now)
