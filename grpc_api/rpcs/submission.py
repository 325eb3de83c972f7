from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from clusters.callers import Caller
from clusters.services.authenticate import authenticate
from clusters.services.of_people import Refusal
from clusters.validation import check_range
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.messages import error_to_message, request_id, spec_from, timestamp
from grpc_api.rpcs.server_state import (
    SUBMITTERS,
    Answered,
    Claimed,
    ServerState,
    bearer_claim,
    credential_of,
    token_claim,
)
from grpc_api.runtime.group_commit import GroupCommit
from grpc_api.runtime.streams import until
from jobs.placement import BOUNDED
from jobs.queries.warnings import warn_caller
from jobs.services.groups import BESIDE_THE_GROUP, GroupWish, check_wish, group_of
from jobs.services.orders import Order, Receipt
from jobs.services.resubmit import resubmit_jobs
from jobs.services.submit import submit_jobs
from rainbow.errors import InvalidArgument, RainbowError
from rainbow.protos import rainbow_pb2 as pb

MAX_BATCH = 10_000

ManyJobs = pb.SubmitJobsRequest | pb.SubmitJobStreamRequest
ClaimedJob = Claimed[pb.SubmitJobRequest]
AnsweredJob = Answered[pb.SubmitJobResponse]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    reply: pb.SubmitJobsResponse
    refused: int


class SubmissionRpcs:
    def __init__(self, server: ServerState, *, batch: int) -> None:
        self._server = server
        self._group_commit = GroupCommit(
            server.pools.writers, self._write, verb="submit", most=batch, caller_of=credential_of
        )

    async def SubmitJob(self, request: pb.SubmitJobRequest, call: Call) -> pb.SubmitJobResponse:
        claim = token_claim(call, request.cluster, request.token)
        answered = await self._group_commit(Claimed(request=request, claim=claim))
        reply = self._server.noted(answered, call).reply
        call.note(job=reply.jobid, duplicate=reply.duplicate or None)
        if not reply.duplicate:
            sizes = {name: getattr(request, name) for name in BOUNDED}
            self._server.wakeups.wake([request.cluster], sizes=sizes)
        return reply

    async def SubmitJobs(self, request: pb.SubmitJobsRequest, call: Call) -> pb.SubmitJobsResponse:
        submission = await self._submit_many(request, call)
        call.note(jobs=len(request.jobs) - submission.refused, refused=submission.refused)
        return submission.reply

    async def SubmitJobStream(
        self, requests: AsyncIterator[pb.SubmitJobStreamRequest], call: Call
    ) -> AsyncIterator[pb.SubmitJobStreamResponse]:
        queued = 0
        async for request in until(self._server.wakeups.closing, requests):
            submission = await self._submit_many(request, call)
            queued += len(request.jobs) - submission.refused
            call.note(jobs=queued)
            reply = pb.SubmitJobStreamResponse(results=submission.reply.results, group=submission.reply.group)
            del request, submission
            yield reply
            del reply

    async def ResubmitJobs(self, request: pb.ResubmitJobsRequest, call: Call) -> pb.ResubmitJobsResponse:
        claim = bearer_claim(call, request.cluster, SUBMITTERS)
        answered = await self._server.write(resubmit, request, claim, call)
        self._server.wakeups.wake([answered.caller.cluster])
        refused = sum(result.HasField("error") for result in answered.reply.results)
        call.note(jobs=len(request.jobids) - refused, refused=refused)
        return answered.reply

    async def _submit_many(self, request: ManyJobs, call: Call) -> Submission:
        claim = bearer_claim(call, request.cluster, SUBMITTERS)
        answered = await self._server.write(submit_many, request, claim, call)
        self._server.wakeups.wake([answered.caller.cluster])
        return answered.reply

    def _write(self, calls: list[ClaimedJob]) -> Callable[[], list[AnsweredJob | Exception]]:
        return partial(answer_submissions, calls, self._server.clock())


def answer_submissions(calls: Sequence[ClaimedJob], now: datetime) -> list[AnsweredJob | Exception]:
    """Answers many SubmitJob calls in one transaction; one that is refused fails alone."""
    callers = authenticate([call.claim for call in calls], now=now)
    orders = [_order(call.request, caller) for call, caller in zip(calls, callers, strict=True)]
    outcomes = _submit(orders, now)
    return [_answered(outcome, caller, now) for outcome, caller in zip(outcomes, callers, strict=True)]


def submit_many(request: ManyJobs, caller: Caller, now: datetime) -> Submission:
    """Answers for each job; one that is refused fails alone. Raises InvalidArgument for too many jobs."""
    check_range(len(request.jobs), field="jobs", lowest=1, highest=MAX_BATCH)
    orders = [_order(job, caller) for job in request.jobs]
    wish = _group_wish(request, caller) if request.HasField("group") else None
    outcomes = _submit(orders, now, wish, rank_duplicates=isinstance(request, pb.SubmitJobsRequest))
    reply = pb.SubmitJobsResponse(
        agent_last_asked_at=timestamp(caller.last_asked_at),
        warning=warn_caller(caller, now=now),
        group=group_of(orders, outcomes) if wish else 0,
    )
    for outcome in outcomes:
        _fill(reply.results.add(), outcome)
    return Submission(reply=reply, refused=sum(isinstance(outcome, RainbowError) for outcome in outcomes))


def resubmit(request: pb.ResubmitJobsRequest, caller: Caller, now: datetime) -> pb.ResubmitJobsResponse:
    said = spec_from(request.changes)
    results = resubmit_jobs(
        by=caller,
        job_ids=request.jobids,
        changes={name: getattr(said, name, None) for name in request.changed},
        project=request.changes.project,
        key=request.idempotency_key,
        now=now,
    )
    reply = pb.ResubmitJobsResponse(
        agent_last_asked_at=timestamp(caller.last_asked_at),
        warning=warn_caller(caller, now=now),
        signed_before=[job_id for job_id, one in zip(request.jobids, results, strict=True) if one.signed],
    )
    for result in results:
        _fill(reply.results.add(), result.outcome)
    return reply


def _order(job: pb.SubmitJobRequest | pb.JobSpec, caller: Caller | Refusal) -> Order | RainbowError:
    if isinstance(caller, RainbowError):
        return caller
    try:
        return Order(by=caller, cluster_id=caller.cluster_id, spec=spec_from(job), project=job.project)
    except RainbowError as error:
        return error


def _group_wish(request: ManyJobs, caller: Caller) -> GroupWish:
    """Raises InvalidArgument."""
    if any(job.group for job in request.jobs):
        raise InvalidArgument(BESIDE_THE_GROUP, field="jobs.group")
    said = request.group
    wish = GroupWish(
        by=caller,
        project=request.jobs[0].project,
        group_id=said.id,
        name=said.name,
        at_once=said.at_once,
        stop_after_failures=said.stop_after_failures,
        idempotency_key=said.idempotency_key,
        more=said.more,
    )
    check_wish(wish)
    return wish


def _submit(
    orders: Sequence[Order | RainbowError],
    now: datetime,
    group: GroupWish | None = None,
    *,
    rank_duplicates: bool = True,
) -> list[Receipt | RainbowError]:
    """An outcome for each order, in place; what was refused before stays refused."""
    good = [order for order in orders if isinstance(order, Order)]
    receipts = iter(submit_jobs(orders=good, group=group, now=now, rank_duplicates=rank_duplicates))
    return [next(receipts) if isinstance(order, Order) else order for order in orders]


def _answered(outcome: Receipt | RainbowError, caller: Caller | Refusal, now: datetime) -> AnsweredJob | RainbowError:
    if isinstance(caller, RainbowError):
        return caller
    if isinstance(outcome, RainbowError):
        return outcome
    reply = pb.SubmitJobResponse(
        request_id=request_id(),
        jobid=outcome.job_id,
        status=pb.SubmitJobResponse.SUBMIT_SUCCESS,
        duplicate=outcome.duplicate,
        position=outcome.position,
        agent_last_asked_at=timestamp(caller.last_asked_at),
        warning=warn_caller(caller, now=now),
    )
    return Answered(caller=caller, reply=reply)


def _fill(result: pb.SubmitResult, outcome: Receipt | RainbowError) -> None:
    # Set one by one: a message made from keywords and then copied takes ten times as long.
    if isinstance(outcome, RainbowError):
        result.error.CopyFrom(error_to_message(outcome))
        return
    result.jobid = outcome.job_id
    result.position = outcome.position
    if outcome.duplicate:
        result.duplicate = True
