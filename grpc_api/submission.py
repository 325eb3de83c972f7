"""The database's part of submitting: many calls, or many jobs of one call, in one transaction."""

from collections.abc import Sequence
from datetime import datetime

from clusters.callers import Caller
from clusters.services import authenticate
from clusters.validation import check_range
from grpc_api.batches import Answered, Asked
from grpc_api.translate import error_to_message, request_id, spec_from, timestamp
from jobs.services import Order, Receipt, submit_jobs, warn_caller
from rainbow.errors import InvalidArgument, RainbowError, Unauthenticated
from rainbow.protos import rainbow_pb2 as pb

MAX_BATCH = 10_000

Answer = Answered[pb.SubmitJobResponse] | Exception
ManyJobs = pb.SubmitJobsRequest | pb.SubmitJobStreamRequest


def submit_together(asked: Sequence[Asked[pb.SubmitJobRequest]], now: datetime) -> list[Answer]:
    """Answers many SubmitJob calls; a bad one fails alone."""
    verdicts = authenticate([claim for _, claim in asked], now=now)
    orders = [_order(request, verdict) for (request, _), verdict in zip(asked, verdicts, strict=True)]
    outcomes = _submit(orders, now)
    return [_answered(*pair, now) for pair in zip(verdicts, outcomes, strict=True)]


def submit_many(request: ManyJobs, caller: Caller, now: datetime) -> pb.SubmitJobsResponse:
    check_range(len(request.jobs), field="jobs", lowest=1, highest=MAX_BATCH)
    orders = [_order(job, caller) for job in request.jobs]
    outcomes = _submit(orders, now, rank_duplicates=isinstance(request, pb.SubmitJobsRequest))
    return pb.SubmitJobsResponse(
        results=[_submit_result(outcome) for outcome in outcomes],
        agent_last_asked_at=timestamp(caller.last_asked_at),
        warning=warn_caller(caller, now=now),
    )


def _order(job: pb.SubmitJobRequest | pb.JobSpec, by: Caller | Unauthenticated) -> Order | RainbowError:
    if isinstance(by, Unauthenticated):
        return by
    try:
        return Order(by=by, cluster_id=by.cluster_id, spec=spec_from(job))
    except InvalidArgument as error:
        return error


def _submit(
    orders: Sequence[Order | RainbowError], now: datetime, *, rank_duplicates: bool = True
) -> list[Receipt | RainbowError]:
    """Submits what is an order and passes on what was refused before, in their order."""
    good = [order for order in orders if isinstance(order, Order)]
    results = iter(submit_jobs(orders=good, now=now, rank_duplicates=rank_duplicates))
    return [next(results) if isinstance(order, Order) else order for order in orders]


def _answered(by: Caller | Unauthenticated, outcome: Receipt | RainbowError, now: datetime) -> Answer:
    if isinstance(by, Unauthenticated):
        return by
    return outcome if isinstance(outcome, RainbowError) else (by, _submitted(by, outcome, now))


def _submitted(caller: Caller, receipt: Receipt, now: datetime) -> pb.SubmitJobResponse:
    return pb.SubmitJobResponse(
        request_id=request_id(),
        jobid=receipt.job_id,
        status=pb.SubmitJobResponse.SUBMIT_SUCCESS,
        duplicate=receipt.duplicate,
        position=receipt.position,
        agent_last_asked_at=timestamp(caller.last_asked_at),
        warning=warn_caller(caller, now=now),
    )


def _submit_result(outcome: Receipt | RainbowError) -> pb.SubmitResult:
    if isinstance(outcome, RainbowError):
        return pb.SubmitResult(error=error_to_message(outcome))
    return pb.SubmitResult(jobid=outcome.job_id, duplicate=outcome.duplicate, position=outcome.position)
