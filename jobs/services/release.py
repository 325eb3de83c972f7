"""Putting blocked jobs into the queue."""

from collections.abc import Sequence
from datetime import datetime

from jobs.events import Step
from jobs.models import Job
from jobs.services.placing import put_in_queues
from jobs.services.turns import take_turns_anew
from jobs.states import JobState, What


def release(jobs: Sequence[Job], *, now: datetime, why: str = "") -> list[Step]:
    """Queues blocked jobs that the caller has locked and found free of what blocked them; returns the steps to record.

    They take their turns now: what they would have got when they were submitted is long past.
    """
    steps = [_step(job, why) for job in jobs]
    Job.objects.filter(id__in=[job.id for job in jobs]).update(state=JobState.QUEUED, unmet=0, held_by_group=False)
    for job in jobs:
        job.state, job.unmet, job.held_by_group = JobState.QUEUED, 0, False
    put_in_queues(jobs, now=now)
    take_turns_anew(jobs)
    return steps


def _step(job: Job, why: str) -> Step:
    step = Step.of(job, What.RELEASED, JobState.QUEUED)
    step.why = why
    return step
