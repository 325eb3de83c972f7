"""Moving waiting jobs to another cluster."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models.functions import Coalesce

from clusters.callers import Operator
from clusters.models import Cluster
from clusters.validation import check_reason
from jobs.events import Step, record
from jobs.models import Job
from jobs.queries.lookup import check_ids, locked
from jobs.services.change_result import ChangeResult, change_results
from jobs.services.placing import put_in_queues
from jobs.services.turns import take_turns_anew
from jobs.states import JobState, What
from rainbow.errors import NotFound

MAX_IDS = 10_000


@transaction.atomic
def move_jobs(
    *, by: Operator, job_ids: Sequence[int], cluster_id: int, reason: str, now: datetime
) -> list[ChangeResult]:
    """Puts waiting jobs into another cluster's queue, at their priority.

    The submitter still sees the job, and its idempotency key stays with the cluster that it was submitted to,
    so that a repeated submission finds it. A result for each distinct id. Raises InvalidArgument, and NotFound
    when there is no such cluster.
    """
    check_ids(job_ids, highest=MAX_IDS)
    check_reason(reason, required=True)
    names = dict(Cluster.objects.values_list("id", "name"))
    if cluster_id not in names:
        raise NotFound("there is no such cluster", field="cluster")
    distinct = list(dict.fromkeys(job_ids))
    jobs = locked(by, distinct)
    refusals = {job.id: _refusal(job, cluster_id) for job in jobs.values()}
    moving = [job for job in jobs.values() if not refusals[job.id]]
    Job.objects.filter(id__in=[job.id for job in moving]).update(
        cluster_id=cluster_id, submitted_to=Coalesce("submitted_to_id", "cluster_id"), given_back={}
    )
    whys = {id: f"from {name} to {names[cluster_id]}: {reason}" for id, name in names.items()}
    steps = [(_step(job, cluster_id, whys[job.cluster_id]), by) for job in moving]
    for job in moving:
        job.submitted_to_id, job.cluster_id = job.submitted_to_id or job.cluster_id, cluster_id
        job.given_back = {}
    put_in_queues(moving, now=now)
    take_turns_anew(moving)
    record(steps, now=now)
    return change_results(distinct, refusals)


def _refusal(job: Job, cluster_id: int) -> str:
    if job.state != JobState.QUEUED:
        return f"the job is {job.state}; only waiting jobs can be moved"
    if job.cluster_id == cluster_id:
        return "the job is there already"
    return ""


def _step(job: Job, cluster_id: int, why: str) -> Step:
    return Step(
        job_id=job.id,
        cluster_id=cluster_id,
        priority=job.priority,
        attempt=job.attempt,
        what=What.MOVED,
        before=JobState.QUEUED,
        after=JobState.QUEUED,
        from_cluster_id=job.cluster_id,
        why=why,
    )
