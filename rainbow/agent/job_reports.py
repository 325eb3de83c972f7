"""What the server is told of a job, in the words of the protocol."""

import re

from rainbow.agent.held_job import HeldJob
from rainbow.agent.states import Desired, Stage
from rainbow.executors.endings import cancelled
from rainbow.executors.executor import Ending, JobPhase, Progress
from rainbow.records import EndCause, JobState
from rainbow.reports import JobReport, Return

LONGEST_REASON = 4096
LONGEST_NATIVE_ID = 255
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# As shells count (POSIX.1-2017, sh, 2.8.2).
KILLED_BY = 128

AS_ROOT = (
    "jobs run as root: all who have the cluster's token can do anything on this machine;"
    " run the agent as a user who owns nothing else"
)


def report_of(held: HeldJob) -> JobReport:
    entry = held.entry
    if held.is_over and entry.progress:
        return _end(held, entry.progress)
    progress = entry.progress
    return JobReport(
        jobid=entry.jobid,
        attempt=entry.attempt,
        state=JobState.RUNNING if held.stage is Stage.RUNNING else JobState.ACCEPTED,
        native_id=_native_id(held),
        reason="" if held.stage is Stage.RUNNING else fit(held.waiting_reason),
        started_at=progress.started_at if progress else None,
    )


def fit(reason: str) -> str:
    """A reason as the wire takes it: no control characters, at most 4 KiB."""
    plain = CONTROL.sub("\ufffd", reason).encode(errors="replace")
    return plain[:LONGEST_REASON].decode(errors="ignore")


def in_one_line(reason: str, *, longest: int = 1000) -> str:
    return " ".join(fit(reason).split())[:longest]


def state_of(progress: Progress) -> JobState:
    """The state that an end stands for. A job that is gone failed, and its reason says so."""
    if progress.ending == Ending.EXITED and progress.exit_code == 0:
        return JobState.COMPLETED
    return JobState.CANCELLED if progress.ending in (Ending.CANCELLED, Ending.WITHDRAWN) else JobState.FAILED


def _end(held: HeldJob, progress: Progress) -> JobReport:
    return JobReport(
        jobid=held.entry.jobid,
        attempt=held.entry.attempt,
        state=state_of(progress),
        native_id=_native_id(held),
        exit_code=_exit_code(progress),
        reason=fit(_why(held, progress)),
        started_at=progress.started_at,
        finished_at=progress.ended_at,
        returned=_RETURNS.get(progress.ending) if progress.ending else None,
        end_cause=_cause(held, progress),
    )


_RETURNS = {Ending.REFUSED: Return.REFUSED, Ending.WITHDRAWN: Return.NOT_STARTED}


_CAUSES = {
    Ending.EXITED: EndCause.EXIT,
    Ending.SIGNALLED: EndCause.SIGNAL,
    Ending.TIMED_OUT: EndCause.TIMED_OUT,
    Ending.NODE_FAILED: EndCause.NODE_FAILED,
    Ending.OUT_OF_MEMORY: EndCause.OUT_OF_MEMORY,
    Ending.PREEMPTED: EndCause.PREEMPTED,
    Ending.CANCELLED: EndCause.CANCELLED_AT_SITE,
    Ending.REFUSED: EndCause.REFUSED,
    Ending.FAILED: EndCause.GIVEN_UP,
}


def _cause(held: HeldJob, progress: Progress) -> EndCause:
    """A cancel that the server asked for is no cause of the site's."""
    if progress.phase is JobPhase.GONE:
        return EndCause.VANISHED
    if progress.ending is Ending.CANCELLED and held.desired is not Desired.RUN:
        return EndCause.UNSPECIFIED
    return _CAUSES.get(progress.ending, EndCause.UNSPECIFIED) if progress.ending else EndCause.UNSPECIFIED


def _native_id(held: HeldJob) -> str:
    """Before the scheduler gave one: the name under which it may have the job."""
    if held.entry.native_id:
        return CONTROL.sub("\ufffd", in_one_line(held.entry.native_id, longest=LONGEST_NATIVE_ID))
    return held.key if held.stage in (Stage.PREPARED, Stage.ANNOUNCED, Stage.IN_DOUBT) else ""


def _exit_code(progress: Progress) -> int | None:
    return KILLED_BY + progress.signal if progress.signal else progress.exit_code


def _why(held: HeldJob, progress: Progress) -> str:
    """The server has the reason of a cancel that was requested. Without one, it was cancelled in the scheduler."""
    if progress.ending != Ending.CANCELLED or progress.reason != cancelled().reason:
        return progress.reason
    return "" if held.desired is not Desired.RUN or held.last_report is None else "cancelled in the scheduler"
