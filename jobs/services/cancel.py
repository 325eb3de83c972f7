"""Cancelling jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from clusters.callers import Actor, Asker, Caller, Operator
from clusters.validation import check_reason
from jobs.events import Step, record
from jobs.models import Job, JobQuerySet
from jobs.outcomes import CancelOutcome, cancel_outcome
from jobs.queries.lookup import check_ids, locked, only_seen
from jobs.services.dependents import settle_and_release
from jobs.services.turns import give_turns_back
from jobs.services.wishes import want_a_look_at_cancels
from jobs.states import JobState, What
from jobs.usage import used_by

MAX_IDS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    job_id: int
    outcome: CancelOutcome


@transaction.atomic
def cancel_jobs(
    *, by: Caller | Operator, job_ids: Sequence[int], reason: str = "", now: datetime
) -> list[Cancellation]:
    """Cancels jobs: at once where no agent has them, otherwise by a request to their agent.

    Callers reach the jobs that are theirs, operators all. A result for each distinct id.
    Raises InvalidArgument.
    """
    check_ids(job_ids, highest=MAX_IDS)
    check_reason(reason)
    distinct = list(dict.fromkeys(job_ids))
    jobs = locked(by, distinct)
    outcomes = {job.id: cancel_outcome(job) for job in jobs.values()}
    _stop([job for job in jobs.values() if outcomes[job.id] == CancelOutcome.CANCELLED], by, reason, now)
    _ask([job for job in jobs.values() if outcomes[job.id] == CancelOutcome.REQUESTED], by, reason, now)
    others = only_seen(by, [id for id in distinct if id not in outcomes])
    missing = {id: CancelOutcome.ONLY_SEEN if id in others else CancelOutcome.NOT_FOUND for id in distinct}
    return [Cancellation(job_id=id, outcome=outcomes.get(id, missing[id])) for id in distinct]


def cancel_members(members: JobQuerySet, *, by: Actor | Asker, reason: str, now: datetime) -> None:
    """Cancels those of the jobs that can be, for whom it was allowed. Call it in a transaction."""
    found = members.defer("output", "command", "environment").order_by("id")
    jobs = list(found.select_for_update())
    _stop([job for job in jobs if cancel_outcome(job) == CancelOutcome.CANCELLED], by, reason, now)
    _ask([job for job in jobs if cancel_outcome(job) == CancelOutcome.REQUESTED], by, reason, now)


def _stop(jobs: list[Job], by: Actor | Asker, reason: str, now: datetime) -> None:
    """If a lost job's agent comes back, its report finds the job cancelled, and the answer asks it to stop the job."""
    Job.objects.filter(id__in=[job.id for job in jobs]).update(
        state=JobState.CANCELLED, finished_at=now, cancel_requested_at=now, reason=reason
    )
    waited = [job for job in jobs if job.state == JobState.QUEUED]
    ends = [_end(job, now) for job in jobs]
    # Turns are locked once: where some are given back, what waits for these jobs is released after the commit.
    followed = [] if any(job.turn for job in waited) else settle_and_release(ends, now=now)
    give_turns_back(waited)
    record([*((end, by) for end in ends), *((step, None) for step in followed)], now=now, why=reason)


def _end(job: Job, now: datetime) -> Step:
    """Of a lost job it is not known until when it ran; its lease ended when it was lost."""
    step = Step.of(job, What.CANCELLED, JobState.CANCELLED)
    job.state = JobState.CANCELLED
    step.used = used_by(job, until=job.lost_at or now, now=now)
    return step


def _ask(jobs: list[Job], by: Actor | Asker, reason: str, now: datetime) -> None:
    new = [job for job in jobs if not job.cancel_requested_at]
    Job.objects.filter(id__in=[job.id for job in new]).update(cancel_requested_at=now, reason=reason)
    want_a_look_at_cancels(new, now=now)
    record([(Step.of(job, What.CANCEL_REQUESTED, JobState(job.state)), by) for job in new], now=now, why=reason)
