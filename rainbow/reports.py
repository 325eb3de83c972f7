"""Reports of agents on their jobs, and the answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from google.protobuf.timestamp_pb2 import Timestamp

from rainbow import translation
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import EndCause, JobState, OutputFiles


class Return(StrEnum):
    """Why a job that never started is given back."""

    NOT_STARTED = "not_started"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """How one attempt at a job goes. The ranges are those of JobReport in rainbow.proto.

    `state` is accepted while the job waits in the scheduler. Empty and None mean not said. With `returned` a job that
    never started waits again, if the server can give it to another cluster.
    """

    jobid: int
    attempt: int
    state: JobState
    native_id: str = ""
    exit_code: int | None = None
    reason: str = ""
    output: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    returned: Return | None = None
    end_cause: EndCause = EndCause.UNSPECIFIED
    output_files: OutputFiles | None = None


class ReportOutcome(StrEnum):
    """The result of a report.

    `stale`: another attempt counts, or the job is over; `unknown`: the cluster has no such job.
    """

    UNSPECIFIED = "unspecified"
    COUNTED = "counted"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportResult:
    """`cancel` asks the agent to stop what it runs under this job and attempt."""

    jobid: int
    outcome: ReportOutcome
    cancel: bool
    lease_expires_at: datetime | None


OUTCOMES = {
    pb.ReportResult.OUTCOME_COUNTED: ReportOutcome.COUNTED,
    pb.ReportResult.OUTCOME_STALE: ReportOutcome.STALE,
    pb.ReportResult.OUTCOME_UNKNOWN: ReportOutcome.UNKNOWN,
}


_RETURNS = {kind: pb.JobReport.Return.Value(f"RETURN_{kind.name}") for kind in Return}


def report_message(report: JobReport) -> pb.JobReport:
    return pb.JobReport(
        jobid=report.jobid,
        attempt=report.attempt,
        state=translation.JOB_STATES[report.state],
        native_id=report.native_id,
        exit_code=report.exit_code,
        reason=report.reason,
        output=report.output,
        started_at=_stamp(report.started_at),
        finished_at=_stamp(report.finished_at),
        returned=_RETURNS[report.returned] if report.returned else pb.JobReport.RETURN_UNSPECIFIED,
        end_cause=translation.END_CAUSES[report.end_cause],
        output_files=_files_message(report.output_files) if report.output_files else None,
    )


def _files_message(listed: OutputFiles) -> pb.OutputFiles:
    files = [pb.OutputFile(name=file.name, size=file.size) for file in listed.files]
    return pb.OutputFiles(files=files, more=listed.more)


@translation.refusing_nonsense()
def report_results(answer: pb.ReportJobsResponse, *, reports: Sequence[JobReport]) -> tuple[ReportResult, ...]:
    """One for each report, in their order. Raises RainbowError where the server left one out."""
    if [item.jobid for item in answer.results] != [report.jobid for report in reports]:
        raise translation.nonsense()
    return tuple(_result(item) for item in answer.results)


def _result(item: pb.ReportResult) -> ReportResult:
    return ReportResult(
        jobid=item.jobid,
        outcome=OUTCOMES.get(item.outcome, ReportOutcome.UNSPECIFIED),
        cancel=item.cancel,
        lease_expires_at=translation.moment(item, "lease_expires_at"),
    )


def _stamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
