"""Jobs in every state, and their records."""

from datetime import datetime, timedelta
from typing import Any

from jobs.events import Step, record
from jobs.models import Job, JobEvent
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.states import FINAL, UNTAKEN, JobState, What
from tests.support.queue import submitted

AGENT = "agent-1"
_HAPPENED = {JobState.RUNNING: What.STARTED, JobState.LOST: What.LOST}


def job_in(state: JobState, member: Any, *, now: datetime, **spec: Any) -> int:
    """The id of a job that came to this state as jobs do, held by an agent where one holds it."""
    (job_id,) = submitted(member, now=now, held_by_group=state == JobState.BLOCKED, **spec)
    if state == JobState.CANCELLED:
        cancel_jobs(by=member.submitter, job_ids=[job_id], now=now)
    elif state not in UNTAKEN:
        accept_jobs(caller=member.puller, job_ids=[job_id], agent=AGENT, now=now)
    if state in (JobState.RUNNING, JobState.LOST, JobState.COMPLETED, JobState.FAILED):
        _report(job_id, state, now)
    assert Job.objects.get(id=job_id).state == state
    return job_id


def handed_over(member: Any, *, now: datetime) -> int:
    """The id of a job that its cluster took by the original protocol: no agent, no lease."""
    (job_id,) = submitted(member, now=now)
    accept_jobs(caller=member.puller, job_ids=[job_id], now=now)
    return job_id


def row(job_id: int) -> dict[str, Any]:
    return dict(Job.objects.filter(id=job_id).values().first() or {})


def replay(job_id: int) -> tuple[str, int]:
    state, attempt = "", 0
    for event in JobEvent.objects.filter(job_id=job_id).order_by("id"):
        state, attempt = event.state, event.attempt
    return state, attempt


def _report(job_id: int, state: JobState, now: datetime) -> None:
    job = Job.objects.get(id=job_id)
    then = now + timedelta(seconds=1)
    times = {"started_at": now, **({"finished_at": then} if state in FINAL else {})}
    lost = {"lost_at": then} if state == JobState.LOST else {}
    held = {} if state == JobState.RUNNING else {"lease_expires_at": None}
    Job.objects.filter(id=job_id).update(state=state, **times, **lost, **held)
    step = Step(
        job_id=job_id,
        cluster_id=job.cluster_id,
        priority=job.priority,
        attempt=job.attempt,
        what=_HAPPENED.get(state, What.ENDED),
        before=JobState(job.state),
        after=state,
    )
    record([(step, None)], now=now)
