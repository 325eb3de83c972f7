"""The database's part of accepting: many calls in one transaction."""

from collections.abc import Sequence
from datetime import datetime

from clusters.callers import Caller
from grpc_api.rpcs.batches import Answered, Asked, write_together
from grpc_api.rpcs.messages import REASONS, timestamp
from jobs.services.accept import Acceptance, Taking, accept_jobs_batch
from rainbow.protos import rainbow_pb2 as pb


def accept_batch(
    asked: Sequence[Asked[pb.AcceptJobsRequest]], now: datetime
) -> list[Answered[pb.AcceptJobsResponse] | Exception]:
    """Answers many AcceptJobs calls; a bad one fails alone."""
    return write_together(
        asked,
        now,
        item_from=_taking,
        verb=lambda takings: accept_jobs_batch(takings=takings, now=now),
        answer=_accepted,
    )


def _taking(request: pb.AcceptJobsRequest, caller: Caller) -> Taking:
    return Taking(caller=caller, job_ids=request.jobids, agent=request.agent, lease_seconds=request.lease_seconds)


def _accepted(acceptance: Acceptance, caller: Caller) -> pb.AcceptJobsResponse:
    result = pb.AcceptJobsResponse
    return pb.AcceptJobsResponse(
        status=result.RESULT_TYPE_PARTIAL if acceptance.refused else result.RESULT_TYPE_SUCCESS,
        accepted=[
            pb.AcceptedJob(jobid=job.job_id, attempt=job.attempt, lease_expires_at=timestamp(job.lease_expires_at))
            for job in acceptance.accepted
        ],
        refused=[
            pb.RefusedJob(jobid=job.job_id, reason=REASONS[job.reason], message=job.reason.value)
            for job in acceptance.refused
        ],
    )
