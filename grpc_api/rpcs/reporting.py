"""The database's part of reporting: many calls in one transaction."""

from collections.abc import Sequence
from datetime import datetime

from clusters.callers import Caller
from grpc_api.rpcs.batches import Answered, Asked, write_together
from grpc_api.rpcs.messages import REPORT_OUTCOMES, report_from, timestamp
from jobs.reports import AgentReport, Reported
from jobs.services.report import report_jobs_batch
from rainbow.protos import rainbow_pb2 as pb


def report_batch(
    asked: Sequence[Asked[pb.ReportJobsRequest]], now: datetime
) -> list[Answered[pb.ReportJobsResponse] | Exception]:
    """Answers many ReportJobs calls; a bad one fails alone."""
    return write_together(
        asked,
        now,
        item_from=_account,
        verb=lambda accounts: report_jobs_batch(accounts=accounts, now=now),
        answer=_reported,
    )


def _account(request: pb.ReportJobsRequest, caller: Caller) -> AgentReport:
    return AgentReport(
        caller=caller,
        agent=request.agent,
        reports=[report_from(message) for message in request.reports],
        lease_seconds=request.lease_seconds,
        not_ready=request.not_ready,
        pause=request.pause,
        hold_after=request.hold_after,
    )


def _reported(results: Sequence[Reported], caller: Caller) -> pb.ReportJobsResponse:
    return pb.ReportJobsResponse(
        results=[
            pb.ReportResult(
                jobid=result.job_id,
                outcome=REPORT_OUTCOMES[result.outcome],
                cancel=result.cancel,
                lease_expires_at=timestamp(result.lease_expires_at),
            )
            for result in results
        ]
    )
