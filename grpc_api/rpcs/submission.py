"""The database's part of submitting: many calls, or many jobs of one call, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from clusters.callers import Caller
from clusters.validation import check_range
from grpc_api.rpcs.batches import Answered, Asked, each_or_refusal, made_or_refusal, write_together
from grpc_api.rpcs.messages import error_to_message, request_id, spec_from, timestamp
from jobs.queries.warnings import warn_caller
from jobs.services.submit import Order, Receipt, submit_jobs
from rainbow.errors import RainbowError
from rainbow.protos import rainbow_pb2 as pb

MAX_BATCH = 10_000

ManyJobs = pb.SubmitJobsRequest | pb.SubmitJobStreamRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The answer to a call with many jobs, and how many of them it refuses."""

    reply: pb.SubmitJobsResponse
    refused: int


def submit_batch(
    asked: Sequence[Asked[pb.SubmitJobRequest]], now: datetime
) -> list[Answered[pb.SubmitJobResponse] | Exception]:
    """Answers many SubmitJob calls; a bad one fails alone."""
    return write_together(
        asked,
        now,
        item_from=_order,
        verb=lambda orders: submit_jobs(orders=orders, now=now),
        answer=lambda receipt, caller: _submitted(receipt, caller, now),
    )


def submit_many(request: ManyJobs, caller: Caller, now: datetime) -> Submission:
    """Answers for each job; a bad one is refused alone. Raises InvalidArgument for too many jobs."""
    check_range(len(request.jobs), field="jobs", lowest=1, highest=MAX_BATCH)
    rank = isinstance(request, pb.SubmitJobsRequest)
    outcomes = each_or_refusal(
        (made_or_refusal(_order, job, caller) for job in request.jobs),
        lambda orders: submit_jobs(orders=orders, now=now, rank_duplicates=rank),
    )
    reply = pb.SubmitJobsResponse(
        agent_last_asked_at=timestamp(caller.last_asked_at), warning=warn_caller(caller, now=now)
    )
    for outcome in outcomes:
        _fill(reply.results.add(), outcome)
    return Submission(reply=reply, refused=sum(isinstance(outcome, RainbowError) for outcome in outcomes))


def _order(job: pb.SubmitJobRequest | pb.JobSpec, caller: Caller) -> Order:
    return Order(by=caller, cluster_id=caller.cluster_id, spec=spec_from(job))


def _submitted(receipt: Receipt, caller: Caller, now: datetime) -> pb.SubmitJobResponse:
    return pb.SubmitJobResponse(
        request_id=request_id(),
        jobid=receipt.job_id,
        status=pb.SubmitJobResponse.SUBMIT_SUCCESS,
        duplicate=receipt.duplicate,
        position=receipt.position,
        agent_last_asked_at=timestamp(caller.last_asked_at),
        warning=warn_caller(caller, now=now),
    )


def _fill(result: pb.SubmitResult, outcome: Receipt | RainbowError) -> None:
    # Set one by one: a message made from keywords and then copied takes ten times as long.
    if isinstance(outcome, RainbowError):
        result.error.CopyFrom(error_to_message(outcome))
        return
    result.jobid = outcome.job_id
    result.position = outcome.position
    if outcome.duplicate:
        result.duplicate = True
