"""Signals to jobs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from clusters.callers import Caller, Operator
from jobs.models import Job, Wish
from jobs.outcomes import SignalOutcome
from jobs.queries.lookup import check_ids, locked, only_seen
from jobs.queries.wishes import LIVE_FOR
from jobs.services.wishes import want
from jobs.signals import SIGNALS
from jobs.states import JobState, WishKind
from rainbow.errors import InvalidArgument

MAX_IDS = 1_000
MOST_OF_A_JOB = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Signalling:
    job_id: int
    outcome: SignalOutcome


@transaction.atomic
def signal_jobs(*, by: Caller | Operator, job_ids: Sequence[int], signal: str, now: datetime) -> list[Signalling]:
    """Asks the agents of running jobs to send them a signal. Callers reach the jobs that are theirs, operators all.

    The event is recorded when the agent has sent it. A result for each distinct id. Raises InvalidArgument.
    """
    check_ids(job_ids, highest=MAX_IDS)
    if signal not in SIGNALS:
        raise InvalidArgument(f"must be one of {', '.join(SIGNALS)}", field="signal")
    distinct = list(dict.fromkeys(job_ids))
    jobs = locked(by, distinct)
    waiting = _waiting(jobs, now)
    outcomes = {job.id: _outcome(job, waiting[job.id]) for job in jobs.values()}
    want(
        Wish(
            kind=WishKind.SIGNAL,
            cluster_id=job.cluster_id,
            agent=job.agent,
            job_id=job.id,
            attempt=job.attempt,
            content={"signal": signal},
            made_at=now,
            credential_id=by.credential,
            operator_id=by.account,
            request_id=by.request_id or None,
        )
        for job in jobs.values()
        if outcomes[job.id] is SignalOutcome.REQUESTED
    )
    others = only_seen(by, [id for id in distinct if id not in outcomes])
    missing = {id: SignalOutcome.ONLY_SEEN if id in others else SignalOutcome.NOT_FOUND for id in distinct}
    return [Signalling(job_id=id, outcome=outcomes.get(id, missing[id])) for id in distinct]


def _waiting(jobs: dict[int, Job], now: datetime) -> Counter[int]:
    """How many signals wait for their agents, by job."""
    live = Wish.objects.filter(kind=WishKind.SIGNAL, job_id__in=jobs, made_at__gte=now - LIVE_FOR)
    return Counter(job_id for job_id in live.values_list("job_id", flat=True) if job_id)


def _outcome(job: Job, waiting: int) -> SignalOutcome:
    if job.state != JobState.RUNNING or not job.agent:
        return SignalOutcome.NOT_RUNNING
    return SignalOutcome.TOO_MANY if waiting >= MOST_OF_A_JOB else SignalOutcome.REQUESTED
