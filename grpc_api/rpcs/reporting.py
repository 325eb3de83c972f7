"""The database's part of reporting: many calls in one transaction."""

from collections.abc import Sequence
from datetime import datetime

from clusters.callers import Caller
from grpc_api.rpcs.batches import Answered, Asked, write_together
from grpc_api.rpcs.messages import REPORT_OUTCOMES, report_from, timestamp
from jobs.reports import Account, Reported
from jobs.services.report import report_together as report_jobs_together
from rainbow.protos import rainbow_pb2 as pb


def report_together(
    asked: Sequence[Asked[pb.ReportJobsRequest]], now: datetime
) -> list[Answered[pb.ReportJobsResponse] | Exception]:
    """Answers many ReportJobs calls; a bad one fails alone."""
    return write_together(
        asked,
        now,
        item_from=_account,
        verb=lambda accounts: report_jobs_together(accounts=accounts, now=now),
        answer=_reported,
    )


def _account(request: pb.ReportJobsRequest, caller: Caller) -> Account:
    return Account(
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
