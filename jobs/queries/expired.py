"""The jobs that still wait at the time at which they expire, and why each does."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice

from clusters.validation import MAX_REASON
from clusters.visible import shortened
from jobs.models import Job
from jobs.placement import DEMAND_FIELDS
from jobs.queries.explain import Explanation, explain_wait
from jobs.queries.prospects import Outlook
from jobs.sql.reads import some_have_expired
from jobs.states import JobState

# A batch is explained and ended in less than the time between two sweeps.
MAX_EXPIRED = 200
# What is told with one of these outlooks depends on when the job was submitted.
_OF_ONE_JOB = frozenset({Outlook.LATER, Outlook.WOULD_TAKE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    job_id: int
    reason: str


def expired_jobs(*, now: datetime) -> list[Expired]:
    """The first 200, those in queues before those that are blocked; jobs that are alike are explained once."""
    # Most servers ask this every few seconds in vain.
    if not some_have_expired(now):
        return []
    jobs = chain.from_iterable(_expired(state, now) for state in (JobState.QUEUED, JobState.BLOCKED))
    return list(_explained(islice(jobs, MAX_EXPIRED), now))


def _expired(state: JobState, now: datetime) -> Iterator[Job]:
    waiting = Job.objects.in_state(state).filter(expires_at__lte=now).select_related("cluster", "submitted_by")
    jobs = waiting.defer("command", "environment", "output", "cluster__facts").order_by("expires_at")[:MAX_EXPIRED]
    return jobs.iterator()


def _explained(jobs: Iterator[Job], now: datetime) -> Iterator[Expired]:
    reasons: dict[str, str] = {}
    for job in jobs:
        if (reason := reasons.get(alike := _alike(job))) is None and (explanation := explain_wait(job=job, now=now)):
            reason = _reason(explanation)
            if not any(prospect.outlook in _OF_ONE_JOB for prospect in explanation.prospects):
                reasons[alike] = reason
        if reason:
            yield Expired(job_id=job.id, reason=reason)


def _alike(job: Job) -> str:
    """The same for jobs of which the same is told.

    Why clusters gave a job back, and what a blocked one waits for, is told of that one alone.
    """
    asked = [getattr(job, name) for name in (*DEMAND_FIELDS, "labels")]
    return json.dumps(
        [job.id if job.given_back or job.state == JobState.BLOCKED else 0, job.queue_id, job.submitted_by_id, *asked],
        sort_keys=True,
    )


def _reason(explanation: Explanation) -> str:
    """Of many clusters the first."""
    of_pool = [f"{one.cluster} {one.text}" for one in explanation.prospects] if len(explanation.prospects) > 1 else []
    return shortened("; ".join([f"it expired while it waited: {explanation.found}", *of_pool]), longest=MAX_REASON)
