import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from clusters.callers import Caller
from clusters.services.authenticate import authenticate
from clusters.services.of_people import Refusal
from clusters.validation import check_range
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.messages import REASONS, bounds_from, entries_that_fit, request_id, timestamp
from grpc_api.rpcs.server_state import Answered, Claimed, ServerState, credential_of, secret_claim
from grpc_api.runtime.group_commit import GroupCommit
from grpc_api.runtime.wakeups import Turn, wait_for
from jobs.metrics import OFFERED
from jobs.queries import queue as queries
from jobs.queries.pools import delays_by_pool
from jobs.services.accept import Acceptance, accept_jobs_batch
from jobs.services.take import Taking
from jobs.traces import traceparents_of
from rainbow.errors import RainbowError
from rainbow.protos import rainbow_pb2 as pb

ClaimedRequest = Claimed[pb.RequestJobsRequest]
ClaimedAccept = Claimed[pb.AcceptJobsRequest]
AnsweredAccept = Answered[pb.AcceptJobsResponse]

MAX_WAIT_SECONDS = 300


@dataclass(slots=True, kw_only=True)
class AnsweredRequest(Answered[pb.RequestJobsResponse]):
    """`pools`: delays_by_pool of the caller's cluster, empty unless the request has `shared` and `wait_seconds`."""

    pools: Mapping[str, int]


class QueueRpcs:
    def __init__(self, server: ServerState, *, batch: int) -> None:
        self._server = server
        self._requests = GroupCommit(
            server.pools.readers,
            self._read_queues,
            verb="request",
            most=batch,
            at_once=server.pools.shared_reads_at_once,
            caller_of=credential_of,
        )
        self._accepts = GroupCommit(
            server.pools.writers,
            self._write_accepts,
            verb="accept",
            most=batch,
            jobs_of=lambda call: len(call.request.jobids),
            caller_of=credential_of,
        )

    async def RequestJobs(self, request: pb.RequestJobsRequest, call: Call) -> pb.RequestJobsResponse:
        claim = secret_claim(call, request.cluster, request.secret)
        claimed = Claimed(request=request, claim=claim)
        answered = await self._request(claimed, call)
        check_range(request.wait_seconds, field="wait_seconds", lowest=0, highest=MAX_WAIT_SECONDS)
        if request.wait_seconds and not answered.reply.jobids:
            answered = await self._wait_for_jobs(claimed, answered, call)
        call.note(jobs=len(answered.reply.jobids))
        return answered.reply

    async def AcceptJobs(self, request: pb.AcceptJobsRequest, call: Call) -> pb.AcceptJobsResponse:
        claim = secret_claim(call, request.cluster, request.secret)
        answered = await self._accepts(Claimed(request=request, claim=claim))
        reply = self._server.noted(answered, call).reply
        call.note(accepted=len(reply.accepted), refused=len(reply.refused))
        return reply

    async def _request(self, claimed: ClaimedRequest, call: Call) -> AnsweredRequest:
        answered = await self._requests(claimed)
        self._server.noted(answered, call, asked=bounds_from(claimed.request))
        return answered

    async def _wait_for_jobs(self, claimed: ClaimedRequest, answered: AnsweredRequest, call: Call) -> AnsweredRequest:
        """Polls at once, since a job may have come before the subscription, and then at each wake-up.

        Only for callers who were admitted: others could make the server keep subscriptions.
        """
        clock, wakeups = asyncio.get_running_loop().time, self._server.wakeups
        deadline = clock() + call.patience(claimed.request.wait_seconds)
        fits = bounds_from(claimed.request).admit
        while True:
            caller, pools = answered.caller, answered.pools
            turns = {pool: Turn(after_seconds=after, fits=fits) for pool, after in pools.items()}
            with wakeups.subscribe(*caller.holders, turns={caller.cluster: Turn(fits=fits), **turns}) as wakeup:
                answered = await self._request(claimed, call)
                if answered.reply.jobids or clock() >= deadline or wakeups.closed:
                    return answered
                # It joined or left a pool: subscribe to the queues of now, and ask again, before it waits.
                if answered.pools == pools:
                    await wait_for(wakeup, at_most=deadline - clock())

    def _read_queues(self, calls: list[ClaimedRequest]) -> Callable[[], list[AnsweredRequest | Exception]]:
        return partial(answer_requests, calls, self._server.clock())

    def _write_accepts(self, calls: list[ClaimedAccept]) -> Callable[[], list[AnsweredAccept | Exception]]:
        return partial(answer_accepts, calls, self._server.clock())


def answer_requests(calls: Sequence[ClaimedRequest], now: datetime) -> list[AnsweredRequest | Exception]:
    """Answers many RequestJobs calls; one that is refused fails alone."""
    callers = authenticate([call.claim for call in calls], now=now)
    asked = [
        (call.request, caller)
        for call, caller in zip(calls, callers, strict=True)
        if not isinstance(caller, RainbowError)
    ]
    each = iter(queue_replies(asked, now))
    return [caller if isinstance(caller, RainbowError) else next(each) for caller in callers]


def answer_accepts(calls: Sequence[ClaimedAccept], now: datetime) -> list[AnsweredAccept | Exception]:
    """Answers many AcceptJobs calls in one transaction; one that is refused fails alone."""
    callers = authenticate([call.claim for call in calls], now=now)
    takings = [_taking(call.request, caller) for call, caller in zip(calls, callers, strict=True)]
    good = [taking for taking in takings if isinstance(taking, Taking)]
    outcomes = accept_jobs_batch(takings=good, now=now)
    parents = traceparents_of(
        job.job_id for outcome in outcomes if isinstance(outcome, Acceptance) for job in outcome.accepted
    )
    each = iter(outcomes)
    return [_accepted(next(each), taking, parents) if isinstance(taking, Taking) else taking for taking in takings]


def queue_replies(
    asked: Sequence[tuple[pb.RequestJobsRequest, Caller]], now: datetime
) -> list[AnsweredRequest | RainbowError]:
    requests = [
        queries.Request(caller=caller, bounds=bounds_from(request), limit=request.maxJobs, shared=request.shared)
        for request, caller in asked
    ]
    pools = delays_by_pool({caller.cluster_id for request, caller in asked if request.shared and request.wait_seconds})
    answers = queries.answer_requests(requests, now=now)
    return [
        _replied(found, request.caller, pools.get(request.caller.cluster_id, {}))
        for request, found in zip(requests, answers, strict=True)
    ]


def _replied(
    found: Iterable[queries.QueuedJob] | RainbowError, caller: Caller, pools: Mapping[str, int]
) -> AnsweredRequest | RainbowError:
    if isinstance(found, RainbowError):
        return found
    try:
        return AnsweredRequest(caller=caller, reply=_queue_reply(found, caller), pools=pools)
    # Jobs are read as they are consumed.
    except RainbowError as error:
        return error


def _queue_reply(jobs: Iterable[queries.QueuedJob], caller: Caller) -> pb.RequestJobsResponse:
    entries = entries_that_fit(jobs, caller.cluster)
    OFFERED.add(len(entries), caller.cluster)
    found = pb.RequestJobsResponse
    return pb.RequestJobsResponse(
        request_id=request_id(),
        jobs=dict(entries),
        status=found.REQUEST_JOBS_SUCCESS if entries else found.REQUEST_JOBS_NORESULTS,
        jobids=[job_id for job_id, _ in entries],
        paused=caller.paused_reason,
    )


def _taking(request: pb.AcceptJobsRequest, caller: Caller | Refusal) -> Taking | RainbowError:
    if isinstance(caller, RainbowError):
        return caller
    return Taking(caller=caller, job_ids=request.jobids, agent=request.agent, lease_seconds=request.lease_seconds)


def _accepted(
    outcome: Acceptance | RainbowError, taking: Taking, traceparents: Mapping[int, str]
) -> AnsweredAccept | RainbowError:
    if isinstance(outcome, RainbowError):
        return outcome
    result = pb.AcceptJobsResponse
    reply = pb.AcceptJobsResponse(
        status=result.RESULT_TYPE_PARTIAL if outcome.refused else result.RESULT_TYPE_SUCCESS,
        accepted=[
            pb.AcceptedJob(
                jobid=job.job_id,
                attempt=job.attempt,
                lease_expires_at=timestamp(job.lease_expires_at),
                traceparent=traceparents.get(job.job_id, ""),
            )
            for job in outcome.accepted
        ],
        refused=[
            pb.RefusedJob(jobid=job.job_id, reason=REASONS[job.reason], message=job.message) for job in outcome.refused
        ],
    )
    return Answered(caller=taking.caller, reply=reply)
