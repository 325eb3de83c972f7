"""Watching jobs: a line for each step, and the exit code for the end."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from rainbow.records import Job, JobState
from rainbow.terminal.formatting import local, span
from rainbow.text import on_one_line

# An ended job that has no exit code of its own, and one that was stopped: 128 + SIGTERM, as shells count.
FAILED = 1
STOPPED = 143
LARGEST = 255


def follow(jobs: Iterable[Job], tell: Callable[[Job], None]) -> dict[int, Job]:
    """Show each step; returns the last state of each job."""
    last: dict[int, Job] = {}
    for job in jobs:
        if _shown(last.get(job.id)) != _shown(job):
            tell(job)
        last[job.id] = job
    return last


def step_of(job: Job) -> str:
    at = local(_since(job) or datetime.now(UTC))
    return on_one_line(f"{at}  Job {job.id}: {_words(job)}")


def exit_code_of(job: Job) -> int:
    """The job's own exit code where a process can end with it."""
    if job.state == JobState.COMPLETED:
        return 0
    if job.state == JobState.CANCELLED:
        return STOPPED
    code = job.exit_code or 0
    return code if 0 < code <= LARGEST else FAILED


def _shown(job: Job | None) -> tuple[object, ...]:
    return () if job is None else (job.state, job.attempt, job.reason, bool(job.cancel_requested_at))


def _since(job: Job) -> datetime | None:
    # Of a job that is tried again it is not known since when it waits.
    submitted_at = job.submitted_at if job.attempt == 1 else None
    moments: Mapping[JobState, datetime | None] = {
        JobState.BLOCKED: submitted_at,
        JobState.QUEUED: submitted_at,
        JobState.RUNNING: job.started_at,
        JobState.LOST: job.lost_at,
    }
    return job.finished_at or job.cancel_requested_at or moments.get(job.state)


def _words(job: Job) -> str:
    """For example: running, asked to stop: wrong input file."""
    words = [job.state.value]
    if job.state == JobState.FAILED and job.exit_code:
        words.append(f"with exit code {job.exit_code}")
    if job.attempt > 1:
        words.append(f"in attempt {job.attempt}")
    if job.finished_at and job.started_at and (seconds := round((job.finished_at - job.started_at).total_seconds())):
        words.append(f"after {span(seconds)}")
    asked = ", asked to stop" if job.cancel_requested_at and not job.finished_at else ""
    reason = f": {job.reason}" if job.reason and job.reason != f"ended with exit code {job.exit_code}" else ""
    return f"{' '.join(words)}{asked}{reason}"
