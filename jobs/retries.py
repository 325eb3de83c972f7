"""When a job is tried again, as its submitter wished, and what is known of the attempt that ended."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.models import Job
from jobs.states import EndCause

# What a retry is for where the submitter does not say: ends that are no fault of the job.
BY_DEFAULT = frozenset({EndCause.NODE_FAILED.value, EndCause.PREEMPTED.value})
LOST = "lost"
# Before the first retry; twice as long before each further one.
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)
_DOUBLED = 10  # often enough to be beyond the longest


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """How the attempt at a job ended that the job has on record. Empty and None mean not known."""

    job: Job
    ended_at: datetime
    reason: str
    end_cause: str = ""
    exit_code: int | None = None
    native_id: str = ""
    started_at: datetime | None = None
    output: str = ""


def end_to_be_retried(job: Job, *, cause: EndCause | None, exit_code: int | None) -> bool:
    """Whether the submitter wished another attempt after such an end, and it is not to stop."""
    return _is_left(job) and not _named(cause, exit_code).isdisjoint(job.retry_on or BY_DEFAULT)


def lost_to_be_retried(job: Job) -> bool:
    """The same as `on_lost: requeue`, as often as retries are left: the job may run twice."""
    return _is_left(job) and LOST in job.retry_on


def pause_before(retry: int) -> timedelta:
    """Before the first retry, 1, and so on."""
    return min(FIRST_PAUSE * (1 << min(retry - 1, _DOUBLED)), LONGEST_PAUSE)


def _is_left(job: Job) -> bool:
    return job.retries < job.retry_most and job.cancel_requested_at is None


def _named(cause: EndCause | None, exit_code: int | None) -> frozenset[str]:
    """The end as `retry_on` names it. Agents of earlier releases tell the exit code alone."""
    if cause == EndCause.EXIT or (cause is None and exit_code is not None):
        return frozenset({"exit_code", f"exit_code:{exit_code}"})
    return frozenset({cause.value} if cause else ())
