"""The database's part of accepting: many calls in one transaction."""

from collections.abc import Sequence
from datetime import datetime

from clusters.callers import Caller
from clusters.services import authenticate
from grpc_api.batches import Answered, Asked
from grpc_api.translate import REASONS, timestamp
from jobs.services import Acceptance, Taking
from jobs.services import accept_together as accept_jobs_together
from rainbow.errors import RainbowError, Unauthenticated
from rainbow.protos import rainbow_pb2 as pb

Answer = Answered[pb.AcceptJobsResponse] | Exception


def accept_together(asked: Sequence[Asked[pb.AcceptJobsRequest]], now: datetime) -> list[Answer]:
    """Answers many AcceptJobs calls; a bad one fails alone."""
    verdicts = authenticate([claim for _, claim in asked], now=now)
    takings = [
        _taking(request, verdict)
        for (request, _), verdict in zip(asked, verdicts, strict=True)
        if isinstance(verdict, Caller)
    ]
    outcomes = iter(accept_jobs_together(takings=takings, now=now))
    return [
        verdict if isinstance(verdict, Unauthenticated) else _answer(verdict, next(outcomes)) for verdict in verdicts
    ]


def _taking(request: pb.AcceptJobsRequest, caller: Caller) -> Taking:
    return Taking(caller=caller, job_ids=request.jobids, agent=request.agent, lease_seconds=request.lease_seconds)


def _answer(caller: Caller, outcome: Acceptance | RainbowError) -> Answer:
    return outcome if isinstance(outcome, RainbowError) else (caller, _accepted(outcome))


def _accepted(acceptance: Acceptance) -> pb.AcceptJobsResponse:
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
