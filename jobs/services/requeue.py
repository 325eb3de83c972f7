"""Putting jobs back into the queue."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce

from clusters.callers import Caller, Operator
from clusters.validation import check_reason
from jobs.events import Step, record
from jobs.models import Job
from jobs.outcomes import requeue_refusal
from jobs.queries.lookup import check_ids, locked
from jobs.retries import AttemptEnd
from jobs.services.attempts import note_attempts
from jobs.services.placing import put_in_queues
from jobs.states import JobState, What
from jobs.usage import used_by
from rainbow.errors import NO_SUCH_JOB

MAX_IDS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeue:
    """`refusal` says why the job was not requeued; empty when it waits again."""

    job_id: int
    refusal: str


@transaction.atomic
def requeue_jobs(*, by: Caller | Operator, job_ids: Sequence[int], reason: str, now: datetime) -> list[Requeue]:
    """Puts accepted and lost jobs back as their next attempt; reports of the old attempt count no more.

    A job that had started may run twice; the operator decides that. A result for each distinct id.
    Raises InvalidArgument.
    """
    check_ids(job_ids, highest=MAX_IDS)
    check_reason(reason, required=True)
    distinct = list(dict.fromkeys(job_ids))
    jobs = locked(by, distinct)
    refusals = {job.id: requeue_refusal(job) for job in jobs.values()}
    steps = put_back([job for job in jobs.values() if not refusals[job.id]], reason=reason, now=now)
    record([(step, by) for step in steps], now=now)
    return [Requeue(job_id=id, refusal=refusals.get(id, NO_SUCH_JOB)) for id in distinct]


def put_back(jobs: Sequence[Job], *, reason: str, now: datetime) -> list[Step]:
    """Queues jobs again that the caller has locked and found requeueable, and gives the steps to record."""
    note_attempts([AttemptEnd(job=job, ended_at=job.lost_at or now, reason=reason) for job in jobs])
    steps = [_step(job, reason, now) for job in jobs]
    Job.objects.filter(id__in=[job.id for job in jobs]).update(
        state=JobState.QUEUED,
        cluster_id=Coalesce("taken_from_id", "cluster_id"),
        taken_from=None,
        attempt=F("attempt") + 1,
        agent="",
        native_id="",
        reason=reason,
        accepted_at=None,
        started_at=None,
        lost_at=None,
        lease_seconds=None,
        lease_expires_at=None,
    )
    for job in jobs:
        job.cluster_id, job.taken_from_id = job.taken_from_id or job.cluster_id, None
    put_in_queues(jobs, now=now)
    return steps


def _step(job: Job, reason: str, now: datetime) -> Step:
    back = replace(Step.of(job, What.REQUEUED, JobState.QUEUED), attempt=job.attempt + 1, why=reason)
    # Of a lost job it is not known until when it ran; its lease ended when it was lost.
    used = used_by(job, until=job.lost_at or now, now=now)
    return replace(back, cluster_id=job.taken_from_id or job.cluster_id, from_cluster_id=job.cluster_id, used=used)
