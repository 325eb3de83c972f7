"""The result of cancelling or requeuing a job, by its state."""

from datetime import datetime
from enum import Enum
from typing import Protocol

from jobs.states import FINAL, REQUEUEABLE, UNTAKEN, JobState
from rainbow.errors import NO_SUCH_JOB


class CancelOutcome(Enum):
    CANCELLED = "cancelled"
    REQUESTED = "the cluster's agent will stop the job"
    ALREADY_FINAL = "the job was over already"
    NOT_FOUND = NO_SUCH_JOB
    OUT_OF_REACH = "the cluster took the job without an agent, so it can only be stopped there"
    ONLY_SEEN = "only its owner and the leads of its project may cancel it"

    @property
    def code(self) -> str:
        """The name for programs, which know a job of others as one that is not found."""
        return (CancelOutcome.NOT_FOUND if self is CancelOutcome.ONLY_SEEN else self).name


class SignalOutcome(Enum):
    REQUESTED = "the cluster's agent will send the signal"
    NOT_RUNNING = "the job does not run, or no agent has it"
    NOT_FOUND = NO_SUCH_JOB
    TOO_MANY = "so many signals wait for the job's agent already; try again later"
    ONLY_SEEN = "only its owner and the leads of its project may signal it"

    @property
    def code(self) -> str:
        """As of a cancel."""
        return (SignalOutcome.NOT_FOUND if self is SignalOutcome.ONLY_SEEN else self).name


CHANGED = frozenset({CancelOutcome.CANCELLED, CancelOutcome.REQUESTED})


class Judged(Protocol):
    """A job as far as its outcome depends on it."""

    @property
    def state(self) -> str: ...
    @property
    def agent(self) -> str: ...
    @property
    def cancel_requested_at(self) -> datetime | None: ...


def cancel_outcome(job: Judged) -> CancelOutcome:
    if job.state in FINAL:
        return CancelOutcome.ALREADY_FINAL
    if _handed_over(job):
        return CancelOutcome.OUT_OF_REACH
    if job.state in UNTAKEN or job.state == JobState.LOST:
        return CancelOutcome.CANCELLED
    return CancelOutcome.REQUESTED


def requeue_refusal(job: Judged) -> str:
    """Why the job cannot be put back now; empty when it can."""
    if job.cancel_requested_at:
        return "a cancel of the job was requested"
    if job.state not in REQUEUEABLE:
        return f"the job is {job.state}; only accepted and lost jobs can be requeued"
    return ""


def _handed_over(job: Judged) -> bool:
    """Accepted by the original protocol: the cluster owns it and reports nothing."""
    return job.state == JobState.ACCEPTED and not job.agent
