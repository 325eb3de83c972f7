"""Changing the priority of waiting jobs."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from clusters.callers import Operator
from clusters.validation import check_range, check_reason
from jobs.events import Step, record
from jobs.models import Job
from jobs.queries.lookup import check_ids, locked
from jobs.services.change_result import ChangeResult, change_results
from jobs.services.turns import take_turns_anew
from jobs.specs import MAX_PRIORITY
from jobs.states import JobState, What

MAX_IDS = 10_000


@transaction.atomic
def change_priority(
    *, by: Operator, job_ids: Sequence[int], priority: int, reason: str, now: datetime
) -> list[ChangeResult]:
    """Gives waiting jobs another priority (-100 to 100). A result for each distinct id. Raises InvalidArgument."""
    check_ids(job_ids, highest=MAX_IDS)
    check_range(priority, field="priority", lowest=-MAX_PRIORITY, highest=MAX_PRIORITY)
    check_reason(reason, required=True)
    distinct = list(dict.fromkeys(job_ids))
    jobs = locked(by, distinct)
    refusals = {job.id: _refusal(job, priority) for job in jobs.values()}
    changing = [job for job in jobs.values() if not refusals[job.id]]
    Job.objects.filter(id__in=[job.id for job in changing]).update(priority=priority)
    steps = [(_step(job, priority, reason), by) for job in changing]
    for job in changing:
        job.priority = priority
    take_turns_anew(changing)
    record(steps, now=now)
    return change_results(distinct, refusals)


def _refusal(job: Job, priority: int) -> str:
    if job.state != JobState.QUEUED:
        return f"the job is {job.state}; only waiting jobs have a use for a priority"
    if job.priority == priority:
        return f"the job has priority {priority} already"
    return ""


def _step(job: Job, priority: int, reason: str) -> Step:
    return Step(
        job_id=job.id,
        cluster_id=job.cluster_id,
        priority=priority,
        attempt=job.attempt,
        what=What.PRIORITY_CHANGED,
        before=JobState.QUEUED,
        after=JobState.QUEUED,
        from_priority=job.priority,
        why=f"from {job.priority} to {priority}: {reason}",
    )
