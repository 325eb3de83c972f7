"""Telling how accepted jobs go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from django.db import transaction

from clusters.callers import Caller
from clusters.services import note_readiness, pause_cluster
from clusters.validation import check_line, check_lines, check_range, size_in_bytes, tail_of
from jobs.events import Step, record
from jobs.leases import Lease, lease_from
from jobs.models import Job
from jobs.specs import MAX_INT
from jobs.states import FINAL, MOVES, JobState, What
from rainbow.errors import InvalidArgument

MAX_REPORTS = 1_000
MAX_OUTPUT_BYTES = 64 * 1024
MAX_REASON_BYTES = 4_096
# What an agent can say of a job; the rest is the server's to say.
REPORTABLE = frozenset({JobState.ACCEPTED, JobState.RUNNING}) | FINAL


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


class ReportOutcome(Enum):
    COUNTED = "the report counts"
    STALE = "another attempt at this job counts, or it is over"
    UNKNOWN = "this cluster has no such job"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What became of one report. `cancel` asks the agent to stop what it runs under this job and attempt."""

    job_id: int
    outcome: ReportOutcome
    cancel: bool
    lease_expires_at: datetime | None


@transaction.atomic
def report_jobs(
    *,
    caller: Caller,
    agent: str,
    reports: Sequence[Report],
    lease_seconds: int = 0,
    not_ready: str = "",
    pause: str = "",
    now: datetime,
) -> list[Reported]:
    """Takes an agent's word for its jobs (up to 1,000 reports) and renews their leases.

    `not_ready` says why the agent takes no jobs now; `pause` pauses the cluster, with that reason.

    A report of an older attempt changes nothing. Late, repeated and reordered reports do no harm: a job never
    goes back from running to accepted, nor from its end anywhere. A result for each report, in their order.
    Raises InvalidArgument.
    """
    _check(agent, reports)
    lease = lease_from(agent=agent, seconds=lease_seconds, now=now)
    jobs = _locked(caller, reports)
    steps: list[Step] = []
    results = [_hear(jobs.get(report.job_id), report, lease, steps) for report in reports]
    counted = {result.job_id for result in results if result.outcome == ReportOutcome.COUNTED}
    Job.objects.bulk_update([job for job in jobs.values() if job.id in counted], _COLUMNS, batch_size=200)
    record([(step, caller) for step in steps], now=now)
    note_readiness(cluster_id=caller.cluster_id, not_ready=not_ready)
    if pause and not caller.paused:
        pause_cluster(cluster_id=caller.cluster_id, reason=pause, by=f"agent {agent}", now=now)
    return results


_COLUMNS = (
    "state", "agent", "native_id", "exit_code", "reason", "output", "started_at", "finished_at", "lost_at",
    "lease_seconds", "lease_expires_at",
)  # fmt: skip
_WHAT = {
    JobState.RUNNING: What.STARTED,
    JobState.CANCELLED: What.CANCELLED,
    JobState.COMPLETED: What.ENDED,
    JobState.FAILED: What.ENDED,
}


def _check(agent: str, reports: Sequence[Report]) -> None:
    check_line(agent, field="agent", longest=255, required=True)
    if len(reports) > MAX_REPORTS:
        raise InvalidArgument(f"must be at most {MAX_REPORTS:,}, not {len(reports):,}", field="reports")
    for report in reports:
        _check_report(report)


def _check_report(report: Report) -> None:
    if report.state not in REPORTABLE:
        raise InvalidArgument("must be accepted, running, completed, failed or cancelled", field="state")
    check_line(report.native_id, field="native_id", longest=255)
    check_lines(report.reason, field="reason", longest=MAX_REASON_BYTES)
    size_in_bytes(report.output, field="output")
    if report.exit_code is not None:
        check_range(report.exit_code, field="exit_code", lowest=-MAX_INT - 1, highest=MAX_INT)
    if report.state == JobState.COMPLETED and report.exit_code not in (None, 0):
        raise InvalidArgument("must be 0 or not said for a completed job", field="exit_code")


def _locked(caller: Caller, reports: Sequence[Report]) -> dict[int, Job]:
    ids = {report.job_id for report in reports}
    jobs = Job.objects.filter(id__in=ids, cluster_id=caller.cluster_id).defer("command", "environment")
    return {job.id: job for job in jobs.order_by("id").select_for_update()}


def _hear(job: Job | None, report: Report, lease: Lease, steps: list[Step]) -> Reported:
    """Takes one report in: changes the job, adds the steps that it took."""
    if job is None:
        return _reported(report, ReportOutcome.UNKNOWN, cancel=True)
    if job.attempt != report.attempt or job.state == JobState.QUEUED:
        return _reported(report, ReportOutcome.STALE, cancel=True)
    if job.state in FINAL:
        repeated = job.state == report.state
        outcome = ReportOutcome.COUNTED if repeated else ReportOutcome.STALE
        return _reported(report, outcome, cancel=report.state not in FINAL)
    steps += _advance(job, report, lease.began_at)
    _note(job, report, lease)
    cancel = job.cancel_requested_at is not None and job.state not in FINAL
    return _reported(report, ReportOutcome.COUNTED, cancel=cancel, lease_expires_at=job.lease_expires_at)


def _reported(
    report: Report, outcome: ReportOutcome, *, cancel: bool, lease_expires_at: datetime | None = None
) -> Reported:
    return Reported(job_id=report.job_id, outcome=outcome, cancel=cancel, lease_expires_at=lease_expires_at)


def _advance(job: Job, report: Report, now: datetime) -> list[Step]:
    """The steps from the job's state to the reported one, where that lies ahead; also sets the times of them."""
    state = _state_after(job, report)
    if state == job.state:
        return []
    steps = []
    if report.started_at and not job.started_at and state != JobState.ACCEPTED:
        job.started_at = _between(job.accepted_at, report.started_at, now)
        if state in FINAL:
            steps.append(_step(job, What.STARTED, JobState.RUNNING))
    if state == JobState.RUNNING and not job.started_at:
        job.started_at = now
    if state in FINAL:
        job.finished_at = _between(job.started_at or job.accepted_at, report.finished_at or now, now)
    what = What.FOUND if job.state == JobState.LOST and state not in FINAL else _WHAT[state]
    return [*steps, _step(job, what, state)]


def _state_after(job: Job, report: Report) -> JobState:
    """A word from before is only a sign of life: it brings back a lost job to where it was."""
    before = JobState(job.state)
    if before == JobState.LOST and report.state == JobState.ACCEPTED and job.started_at:
        return JobState.RUNNING
    return report.state if report.state in MOVES[before] else before


def _between(earliest: datetime | None, at: datetime, latest: datetime) -> datetime:
    """An agent's clock may be wrong; what it says stays within what is possible."""
    return min(max(at, earliest or at), latest)


def _step(job: Job, what: What, after: JobState) -> Step:
    step = Step.of(job, what, after)
    job.state = after
    return step


def _note(job: Job, report: Report, lease: Lease) -> None:
    """Writes down what the report says beside the state."""
    held = job.state not in FINAL
    job.agent = lease.agent
    job.native_id = report.native_id or job.native_id
    job.reason = report.reason or job.reason
    job.output = tail_of(report.output, MAX_OUTPUT_BYTES) or job.output
    job.exit_code = report.exit_code if not held else None
    job.lost_at = None
    job.lease_seconds = lease.seconds if held else None
    job.lease_expires_at = lease.expires_at if held else None
