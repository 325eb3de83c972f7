"""What the journal notes of a job that the server gave."""

from rainbow.agent.journal import Entry, Step
from rainbow.errors import InvalidArgument
from rainbow.executors.endings import ended
from rainbow.executors.executor import Ending
from rainbow.offers import fault
from rainbow.records import BrokenJob, Job, WaitingJob
from rainbow.specs import Work, check_attempt, work_of

NOTHING = Work(command="")


def entry_of(offer: WaitingJob | BrokenJob, *, attempt: int) -> Entry:
    """A broken job has ended before it began."""
    if isinstance(offer, BrokenJob):
        return failed_entry(offer.id, attempt, reason=offer.reason)
    return Entry(jobid=offer.id, attempt=attempt, work=work_of(offer))


def recovered_entry(job: Job) -> Entry:
    """For a job that was accepted without the agent's knowledge and that the scheduler does not have."""
    try:
        check_attempt(job, jobid=job.id, attempt=job.attempt)
    except InvalidArgument as error:
        return failed_entry(job.id, job.attempt, reason=fault(error))
    return Entry(jobid=job.id, attempt=job.attempt, work=work_of(job))


def failed_entry(jobid: int, attempt: int, *, reason: str) -> Entry:
    return Entry(
        jobid=jobid,
        attempt=attempt,
        work=NOTHING,
        step=Step.ENDED,
        progress=ended(Ending.FAILED, reason=reason),
    )
