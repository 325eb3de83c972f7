"""What an agent reports on its jobs, and how a report changes a job."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from clusters.callers import Caller
from clusters.facts import Facts, check_facts
from clusters.services.streaks import End
from clusters.validation import check_line, check_lines, check_range, check_reason, size_in_bytes, tail_of
from jobs.events import Step
from jobs.leases import Lease
from jobs.models import Job
from jobs.output_files import OutputFiles, check_output_files, document_of
from jobs.retries import AttemptEnd, end_to_be_retried
from jobs.specs import MAX_INT
from jobs.states import FINAL, HELD, MOVES, UNTAKEN, EndCause, JobState, What
from jobs.usage import used_by
from rainbow.errors import NO_SUCH_JOB, InvalidArgument

MAX_REPORTS = 1_000
MAX_OUTPUT_BYTES = 64 * 1024
MAX_REASON_BYTES = 4_096
# A job that fails so soon after its start did next to nothing.
AT_ONCE = timedelta(seconds=5)
# What an agent can say of a job; the rest is the server's to say.
REPORTABLE = frozenset({JobState.ACCEPTED, JobState.RUNNING}) | FINAL


class Return(Enum):
    """Why an agent gives a job back that provably never started."""

    NOT_STARTED = "did not start in time"
    REFUSED = "is refused here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How one attempt at a job goes, as the cluster's scheduler sees it.

    `state` is accepted while the job waits in the scheduler. Empty and None mean not said. `output` is the end of
    what the job wrote; more than 64 KiB is cut at its beginning.
    """

    job_id: int
    attempt: int
    state: JobState
    native_id: str = ""
    exit_code: int | None = None
    reason: str = ""
    output: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    returned: Return | None = None
    end_cause: EndCause | None = None
    output_files: OutputFiles | None = None


class ReportOutcome(Enum):
    COUNTED = "the report counts"
    STALE = "another attempt at this job counts, or it is over"
    UNKNOWN = NO_SUCH_JOB


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """The result of one report. `cancel` asks the agent to stop what it runs under this job and attempt."""

    job_id: int
    outcome: ReportOutcome
    cancel: bool
    lease_expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReport:
    """What one agent reports in one call: on up to 1,000 attempts at jobs, and on its cluster.

    `not_ready` says why the agent takes no jobs now; `pause` pauses the cluster, with that reason. `hold_after`: so
    many jobs of one token in a row that fail at once hold back the token's others; 0 is never. `facts` are what the
    cluster says of itself; None leaves that as it is.
    """

    caller: Caller
    agent: str
    reports: Sequence[Report]
    lease_seconds: int = 0
    not_ready: str = ""
    pause: str = ""
    hold_after: int = 0
    facts: Facts | None = None


def check_agent_report(agent_report: AgentReport) -> None:
    """Raises InvalidArgument."""
    check_reason(agent_report.not_ready, field="not_ready")
    check_reason(agent_report.pause, field="pause")
    check_range(agent_report.hold_after, field="hold_after", lowest=0, highest=MAX_INT)
    if agent_report.facts is not None:
        check_facts(agent_report.facts)
    if len(agent_report.reports) > MAX_REPORTS:
        raise InvalidArgument(f"must be at most {MAX_REPORTS:,}, not {len(agent_report.reports):,}", field="reports")
    for report in agent_report.reports:
        _check_report(report)


def _check_report(report: Report) -> None:
    if report.state not in REPORTABLE:
        raise InvalidArgument("must be accepted, running, completed, failed or cancelled", field="state")
    check_line(report.native_id, field="native_id", longest=255)
    check_lines(report.reason, field="reason", longest=MAX_REASON_BYTES)
    size_in_bytes(report.output, field="output")
    if report.output_files is not None:
        if report.state not in FINAL:
            raise InvalidArgument("is only for a job that ended", field="output_files")
        check_output_files(report.output_files)
    if report.exit_code is not None:
        check_range(report.exit_code, field="exit_code", lowest=-MAX_INT - 1, highest=MAX_INT)
    if report.state == JobState.COMPLETED and report.exit_code not in (None, 0):
        raise InvalidArgument("must be 0 or not said for a completed job", field="exit_code")


def is_given_back(job: Job, report: Report) -> bool:
    """Whether it waits again: what a cluster refuses only if it took it from a pool.

    A lost job may as well, whose agent is back: unless it was told that it started.
    """
    if report.returned is None or job.attempt != report.attempt or job.started_at:
        return False
    if job.state not in (JobState.ACCEPTED, JobState.LOST):
        return False
    return report.returned == Return.NOT_STARTED or job.taken_from_id is not None


def is_retried(job: Job, report: Report) -> bool:
    """Whether the attempt ended, and its submitter wished another after such an end."""
    if report.state != JobState.FAILED or job.attempt != report.attempt or job.state not in (*HELD, JobState.LOST):
        return False
    return end_to_be_retried(job, cause=report.end_cause, exit_code=report.exit_code)


def apply_report(job: Job | None, report: Report, lease: Lease, steps: list[Step]) -> Reported:
    """Changes the job by one report (None: there is no such job), and adds the steps that it took.

    A job that is given back is left to jobs.services.give_back, one that is tried again to jobs.services.retry.
    """
    if job is None:
        return _reported(report, ReportOutcome.UNKNOWN, cancel=True)
    if job.attempt != report.attempt or job.state in UNTAKEN:
        return stale(report)
    if job.state in FINAL:
        repeated = job.state == report.state
        outcome = ReportOutcome.COUNTED if repeated else ReportOutcome.STALE
        return _reported(report, outcome, cancel=report.state not in FINAL)
    if is_given_back(job, report) or is_retried(job, report):
        return _reported(report, ReportOutcome.COUNTED, cancel=False)
    job.agent = lease.agent
    news = list(_advance(job, report, lease.began_at))
    _note(job, report, lease, moved=bool(news))
    steps += news
    held = job.state not in FINAL
    cancel = held and job.cancel_requested_at is not None
    return _reported(report, ReportOutcome.COUNTED, cancel=cancel, lease=lease if held else None)


def attempt_end_of(job: Job, report: Report, *, now: datetime) -> AttemptEnd:
    """Of a job that is to be tried again."""
    started_at = _between(job.accepted_at, report.started_at, now) if report.started_at else None
    began_at = job.started_at or started_at
    return AttemptEnd(
        job=job,
        started_at=began_at,
        ended_at=_between(began_at or job.accepted_at, report.finished_at or now, now),
        reason=report.reason,
        end_cause=report.end_cause.value if report.end_cause else "",
        exit_code=report.exit_code,
        native_id=report.native_id,
        output=tail_of(report.output, MAX_OUTPUT_BYTES),
    )


def stale(report: Report) -> Reported:
    """Of an attempt that is no longer the agent's."""
    return _reported(report, ReportOutcome.STALE, cancel=True)


def end_of(job: Job) -> End | None:
    """How a job ended, as counted against its token; None where it is not counted.

    Only jobs that the scheduler took, and so gave an id, count: what a site's policy refused, or what was stopped, says
    nothing of the token's other jobs.
    """
    if job.submitted_by_id is None or not job.native_id or job.state == JobState.CANCELLED or not job.finished_at:
        return None
    ran_on = job.started_at is not None and job.finished_at - job.started_at >= AT_ONCE
    return End(
        credential_id=job.submitted_by_id,
        at_once=job.state == JobState.FAILED and not ran_on,
        reason=job.reason,
    )


def _reported(report: Report, outcome: ReportOutcome, *, cancel: bool, lease: Lease | None = None) -> Reported:
    return Reported(
        job_id=report.job_id,
        outcome=outcome,
        cancel=cancel,
        lease_expires_at=lease.expires_at if lease else None,
    )


_ENDS = {JobState.CANCELLED: What.CANCELLED, JobState.COMPLETED: What.ENDED, JobState.FAILED: What.ENDED}


def _advance(job: Job, report: Report, now: datetime) -> Iterator[Step]:
    """The steps from the job's state to the reported one, if that lies ahead; changes the job."""
    state = _state_after(job, report)
    if state == job.state:
        return
    if job.state == JobState.LOST and state not in FINAL:
        yield _step(job, What.FOUND, JobState.RUNNING if job.started_at else JobState.ACCEPTED)
    started_at = report.started_at or (now if state == JobState.RUNNING else None)
    if started_at and not job.started_at and state != JobState.ACCEPTED:
        job.started_at = _between(job.accepted_at, started_at, now)
        yield _step(job, What.STARTED, JobState.RUNNING)
    if state in FINAL:
        job.finished_at = _between(job.started_at or job.accepted_at, report.finished_at or now, now)
        end = _step(job, _ENDS[state], state)
        end.used = used_by(job, until=job.finished_at, now=now)
        yield end


def _state_after(job: Job, report: Report) -> JobState:
    """A late report is only a heartbeat: it brings back a lost job to where it was."""
    before = JobState(job.state)
    if before == JobState.LOST and report.state == JobState.ACCEPTED and job.started_at:
        return JobState.RUNNING
    return report.state if report.state in MOVES[before] else before


def _between(earliest: datetime | None, at: datetime, latest: datetime) -> datetime:
    """An agent's clock may be wrong: times are kept within what is possible."""
    return min(max(at, earliest or at), latest)


def _step(job: Job, what: What, after: JobState) -> Step:
    step = Step.of(job, what, after)
    job.state = after.value
    return step


def _note(job: Job, report: Report, lease: Lease, *, moved: bool) -> None:
    held = job.state not in FINAL
    # The reason of a state ends with it. Why the job was asked to stop stays, whatever it waits for.
    asked_to_stop = job.cancel_requested_at is not None
    known = "" if moved and not asked_to_stop else job.reason
    job.native_id = report.native_id or job.native_id
    job.reason = known if held and asked_to_stop and known else report.reason or known
    if output := tail_of(report.output, MAX_OUTPUT_BYTES):
        job.output = output
    if not held:
        job.exit_code = 0 if job.state == JobState.COMPLETED else report.exit_code
        job.end_cause = report.end_cause.value if report.end_cause else ""
        if report.output_files is not None:
            job.output_files = document_of(report.output_files)
    job.lost_at = None
    job.lease_seconds = lease.seconds if held else None
    job.lease_expires_at = lease.expires_at if held else None
