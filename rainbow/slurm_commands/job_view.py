"""What squeue and sacct tell of a job, as text."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from rainbow.records import Job, JobState
from rainbow.slurm_commands.durations import clock
from rainbow.slurm_commands.job_ids import is_task

NOTHING = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """`user` is whose jobs these are where the server says no owner."""

    now: datetime
    user: str

    def user_of(self, job: Job) -> str:
        return job.owner or self.user

    def elapsed(self, job: Job) -> timedelta:
        if job.started_at is None:
            return NOTHING
        return max(NOTHING, (job.finished_at or self.now) - job.started_at)


def moment(at: datetime | None, *, unknown: str) -> str:
    return f"{at.astimezone():%Y-%m-%dT%H:%M:%S}" if at else unknown


def limit(job: Job, *, none: str) -> str:
    return clock(timedelta(seconds=job.time_limit_seconds)) if job.time_limit_seconds else none


def cores(job: Job) -> int:
    return (job.tasks or job.nodes) * (job.cores_per_task or 1)


def why_pending(job: Job) -> str:
    if job.reason:
        return job.reason
    if job.state is JobState.BLOCKED:
        return "Dependency" if job.after else "JobArrayTaskLimit"
    if job.state is JobState.ACCEPTED:
        return "Resources" if job.agent else "AcceptedByHand"
    return "Priority" if job.state is JobState.QUEUED else "None"


def index(job: Job, *, none: str) -> str:
    return str(job.array_index) if is_task(job) else none


Tell = Callable[[View, Job], str]
