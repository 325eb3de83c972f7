"""Telling how accepted jobs go."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from django.db import transaction

from clusters.callers import Caller
from clusters.services import note_readiness, pause_cluster
from clusters.validation import check_line, check_lines, check_range, check_reason, size_in_bytes, tail_of
from jobs.events import Step, record
from jobs.leases import Lease, lease_from
from jobs.models import Job
from jobs.specs import MAX_INT
from jobs.sql import LEASE_COLUMNS, REPORTED_COLUMNS, Row, write_reported
from jobs.states import FINAL, MOVES, JobState, What
from rainbow.errors import FailedPrecondition, InvalidArgument

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
    _check(agent, reports, not_ready, pause)
    lease = lease_from(agent=agent, seconds=lease_seconds, now=now)
    jobs = _locked(caller, reports)
    before = {job.id: _said_of(job) for job in jobs.values()}
    steps: list[Step] = []
    results = [_hear(jobs.get(report.job_id), report, lease, steps) for report in reports]
    _write(jobs, before, {result.job_id for result in results if result.lease_expires_at}, lease)
    note_readiness(cluster_id=caller.cluster_id, not_ready=not_ready)
    if pause:
        _pause(caller, agent, pause, now)
    record([(step, caller) for step in steps], now=now)
    return results


_ENDS = {JobState.CANCELLED: What.CANCELLED, JobState.COMPLETED: What.ENDED, JobState.FAILED: What.ENDED}


def _check(agent: str, reports: Sequence[Report], not_ready: str, pause: str) -> None:
    check_line(agent, field="agent", longest=255, required=True)
    check_reason(not_ready, field="not_ready")
    check_reason(pause, field="pause")
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
    """The jobs that are reported on, without their outputs, which may be long and are only ever replaced."""
    ids = {report.job_id for report in reports}
    jobs = Job.objects.filter(id__in=ids, cluster_id=caller.cluster_id).only(*_READ, *REPORTED_COLUMNS, *LEASE_COLUMNS)
    return {job.id: job for job in jobs.order_by("id").select_for_update()}


_READ = ("cluster_id", "attempt", "priority", "accepted_at", "cancel_requested_at")


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
    news = list(_advance(job, report, lease.began_at))
    _note(job, report, lease, moved=bool(news))
    steps += news
    held = job.state not in FINAL
    cancel = held and job.cancel_requested_at is not None
    return _reported(report, ReportOutcome.COUNTED, cancel=cancel, lease=lease if held else None)


def _reported(report: Report, outcome: ReportOutcome, *, cancel: bool, lease: Lease | None = None) -> Reported:
    return Reported(
        job_id=report.job_id,
        outcome=outcome,
        cancel=cancel,
        lease_expires_at=lease.expires_at if lease else None,
    )


def _advance(job: Job, report: Report, now: datetime) -> Iterator[Step]:
    """Takes the steps from the job's state to the reported one, where that lies ahead."""
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
        yield _step(job, _ENDS[state], state)


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
    job.state = after.value
    return step


def _note(job: Job, report: Report, lease: Lease, *, moved: bool) -> None:
    """Takes down what the report says beside the state."""
    held = job.state not in FINAL
    # The reason of a state ends with it. Why somebody asked for the job to stop stays, whatever the job waits for.
    asked_to_stop = job.cancel_requested_at is not None
    known = "" if moved and not asked_to_stop else job.reason
    job.agent = lease.agent
    job.native_id = report.native_id or job.native_id
    job.reason = known if held and asked_to_stop and known else report.reason or known
    if output := tail_of(report.output, MAX_OUTPUT_BYTES):
        job.output = output
    if not held:
        job.exit_code = 0 if job.state == JobState.COMPLETED else report.exit_code
    job.lost_at = None
    job.lease_seconds = lease.seconds if held else None
    job.lease_expires_at = lease.expires_at if held else None


def _write(jobs: Mapping[int, Job], before: Mapping[int, Row], held: set[int], lease: Lease) -> None:
    """Writes each job that changed. Most reports are signs of life: those renew their leases in one statement."""
    changed = [job for job in jobs.values() if _said_of(job) != before[job.id]]
    write_reported([(job.lease_seconds, job.lease_expires_at, *_said_of(job), job.id) for job in changed])
    if same := held - {job.id for job in changed}:
        Job.objects.filter(id__in=same).update(lease_seconds=lease.seconds, lease_expires_at=lease.expires_at)


def _said_of(job: Job) -> Row:
    """What reports change, but for the lease."""
    output = None if "output" in job.get_deferred_fields() else job.output
    return (*(getattr(job, column) for column in REPORTED_COLUMNS), output)


def _pause(caller: Caller, agent: str, reason: str, now: datetime) -> None:
    # Another of the cluster's agents may have been quicker.
    with suppress(FailedPrecondition):
        pause_cluster(cluster_id=caller.cluster_id, reason=reason, by=f"agent {agent}"[:255], now=now)
