"""The result of cancelling or requeuing a job, by its state."""

from enum import Enum

from jobs.models import Job
from jobs.states import FINAL, REQUEUEABLE, JobState
from rainbow.errors import NO_SUCH_JOB


class CancelOutcome(Enum):
    CANCELLED = "cancelled"
    REQUESTED = "the cluster's agent will stop the job"
    ALREADY_FINAL = "the job was over already"
    NOT_FOUND = NO_SUCH_JOB
    OUT_OF_REACH = "the cluster took the job without an agent, so it can only be stopped there"


CHANGED = frozenset({CancelOutcome.CANCELLED, CancelOutcome.REQUESTED})


def cancel_outcome(job: Job) -> CancelOutcome:
    if job.state in FINAL:
        return CancelOutcome.ALREADY_FINAL
    if job.handed_over:
        return CancelOutcome.OUT_OF_REACH
    if job.state in (JobState.QUEUED, JobState.LOST):
        return CancelOutcome.CANCELLED
    return CancelOutcome.REQUESTED


def requeue_refusal(job: Job) -> str:
    """Why the job cannot be put back now; empty when it can."""
    if job.cancel_requested_at:
        return "a cancel of the job was requested"
    if job.state not in REQUEUEABLE:
        return f"the job is {job.state}; only accepted and lost jobs can be requeued"
    return ""
