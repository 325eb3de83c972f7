"""The RPCs: who asks, in which thread it is answered, and who is woken by it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from clusters.callers import Caller, Claim
from clusters.models import CredentialKind
from clusters.services import admit, register_cluster
from clusters.validation import check_range
from grpc_api import answers
from grpc_api.arrivals import Arrivals
from grpc_api.calls import Call
from grpc_api.lanes import Lanes
from grpc_api.submission import Answered, Asked, submit_many, submit_together
from grpc_api.together import Together
from grpc_api.translate import FINAL_STATES, bounds_from, request_id
from grpc_api.visits import Visits
from rainbow.protos import rainbow_pb2 as pb

Request = TypeVar("Request")
Reply = TypeVar("Reply")
Answer = Callable[[Request, Caller, datetime], Reply]
Lane = Callable[[Callable[[], tuple[Caller, Reply]]], Awaitable[tuple[Caller, Reply]]]

TOKEN = frozenset({CredentialKind.TOKEN})
SECRET = frozenset({CredentialKind.SECRET})
EITHER = TOKEN | SECRET

MAX_WAIT_SECONDS = 300
# A waiting call looks for itself this often, and is seen to be there.
LOOK_EVERY_SECONDS = 20
# A waiting call is answered this long before its client gives up.
ANSWER_BEFORE_SECONDS = 0.5


def utc_now() -> datetime:
    return datetime.now(UTC)


class RainbowServicer:
    """One method for each RPC of the proto, of the same name."""

    def __init__(
        self,
        *,
        lanes: Lanes,
        arrivals: Arrivals,
        registration_secret: str,
        batch: int,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._lanes = lanes
        self._arrivals = arrivals
        self._registration_secret = registration_secret
        self._clock = clock
        self._visits = Visits(lanes)
        self._submit = Together(self._submit_batch, most=batch)

    async def Register(self, request: pb.RegisterRequest, call: Call) -> pb.RegisterResponse:
        registration = await self._lanes.write(
            lambda: register_cluster(
                name=request.name,
                offered_secret=request.secret or call.bearer,
                registration_secret=self._registration_secret,
                now=self._clock(),
            )
        )
        call.note(cluster=request.name, result="created" if registration else "exists")
        if registration is None:
            return pb.RegisterResponse(request_id=request_id(), status=pb.RegisterResponse.REGISTER_EXISTS)
        return pb.RegisterResponse(
            request_id=request_id(),
            token=registration.token,
            secret=registration.secret,
            status=pb.RegisterResponse.REGISTER_SUCCESS,
        )

    async def SubmitJob(self, request: pb.SubmitJobRequest, call: Call) -> pb.SubmitJobResponse:
        claim = Claim(value=request.token or call.bearer, cluster=request.cluster, kinds=TOKEN)
        caller, reply = await self._submit((request, claim))
        call.note(cluster=caller.cluster, job=reply.jobid, duplicate=reply.duplicate or None)
        self._visits.note(caller, self._clock(), asked=None)
        if not reply.duplicate:
            self._arrivals.announce([request.cluster])
        return reply

    async def SubmitJobs(self, request: pb.SubmitJobsRequest, call: Call) -> pb.SubmitJobsResponse:
        claim = _claim(request.cluster, call, TOKEN)
        reply = await self._answer(self._lanes.write, claim, submit_many, request, call)
        refused = sum(result.HasField("error") for result in reply.results)
        call.note(jobs=len(reply.results) - refused, refused=refused)
        self._arrivals.announce([str(call.notes["cluster"])])
        return reply

    async def RequestJobs(self, request: pb.RequestJobsRequest, call: Call) -> pb.RequestJobsResponse:
        claim = Claim(value=request.secret or call.bearer, cluster=request.cluster, kinds=SECRET)
        clock = asyncio.get_running_loop().time
        until = clock() + _patience(request.wait_seconds, call)
        with self._arrivals.expect(request.cluster) as arrival:
            while True:
                arrival.clear()
                reply = await self._answer(self._lanes.read, claim, answers.look_at_queue, request, call)
                check_range(request.wait_seconds, field="wait_seconds", lowest=0, highest=MAX_WAIT_SECONDS)
                if reply.jobids or clock() >= until or self._arrivals.closed:
                    break
                await _wait(arrival, min(until - clock(), LOOK_EVERY_SECONDS))
        call.note(jobs=len(reply.jobids))
        return reply

    async def AcceptJobs(self, request: pb.AcceptJobsRequest, call: Call) -> pb.AcceptJobsResponse:
        claim = Claim(value=request.secret or call.bearer, cluster=request.cluster, kinds=SECRET)
        reply = await self._answer(self._lanes.write, claim, answers.accept, request, call)
        call.note(accepted=len(reply.accepted), refused=len(reply.refused))
        return reply

    async def GetJobs(self, request: pb.GetJobsRequest, call: Call) -> pb.GetJobsResponse:
        claim = _claim(request.cluster, call, EITHER)
        return await self._answer(self._lanes.read, claim, answers.get, request, call)

    async def ListJobs(self, request: pb.ListJobsRequest, call: Call) -> pb.ListJobsResponse:
        claim = _claim(request.cluster, call, EITHER)
        return await self._answer(self._lanes.read, claim, answers.list_page, request, call)

    async def CancelJobs(self, request: pb.CancelJobsRequest, call: Call) -> pb.CancelJobsResponse:
        claim = _claim(request.cluster, call, EITHER)
        return await self._answer(self._lanes.write, claim, answers.cancel, request, call)

    async def SummarizeJobs(self, request: pb.SummarizeJobsRequest, call: Call) -> pb.SummarizeJobsResponse:
        claim = _claim(request.cluster, call, EITHER)
        return await self._answer(self._lanes.read, claim, answers.summarize, request, call)

    async def RotateCredential(self, request: pb.RotateCredentialRequest, call: Call) -> pb.RotateCredentialResponse:
        claim = _claim(request.cluster, call, SECRET)
        reply = await self._answer(self._lanes.write, claim, answers.rotate, request, call)
        call.note(kind=pb.CredentialKind.Name(reply.kind))
        return reply

    async def ReportJobs(self, request: pb.ReportJobsRequest, call: Call) -> pb.ReportJobsResponse:
        claim = _claim(request.cluster, call, SECRET)
        reply = await self._answer(self._lanes.write, claim, answers.report, request, call)
        call.note(reports=len(request.reports))
        self._arrivals.announce([result.jobid for result in reply.results])
        return reply

    async def WatchJobs(self, request: pb.WatchJobsRequest, call: Call) -> AsyncIterator[pb.WatchJobsResponse]:
        claim = _claim(request.cluster, call, EITHER)
        sent: dict[int, pb.Job] = {}
        with self._arrivals.expect(*request.jobids) as arrival:
            while True:
                arrival.clear()
                jobs = await self._answer(self._lanes.read, claim, answers.watched, request, call)
                for job in jobs:
                    if sent.get(job.id) != job:
                        sent[job.id] = job
                        yield pb.WatchJobsResponse(job=job)
                if self._arrivals.closed or all(job.state in FINAL_STATES for job in jobs):
                    return
                await _wait(arrival, LOOK_EVERY_SECONDS)

    async def Serial(self, request: pb.Request, call: Call) -> pb.Response:
        return _echo(request, 1)

    async def Stream(self, requests: AsyncIterator[pb.Request], call: Call) -> AsyncIterator[pb.Response]:
        count = 0
        async for request in requests:
            count += 1
            yield _echo(request, count)
        call.note(messages=count)

    async def _submit_batch(self, asked: list[Asked]) -> list[Answered | Exception]:
        return await self._lanes.write(partial(submit_together, asked, self._clock()))

    async def _answer(
        self, lane: Lane[Reply], claim: Claim, answer: Answer[Request, Reply], request: Request, call: Call
    ) -> Reply:
        now = self._clock()

        def admit_and_answer() -> tuple[Caller, Reply]:
            caller = admit(claim, now=now)
            return caller, answer(request, caller, now)

        caller, reply = await lane(admit_and_answer)
        call.note(cluster=caller.cluster)
        self._visits.note(
            caller, now, asked=bounds_from(request) if isinstance(request, pb.RequestJobsRequest) else None
        )
        return reply


def _claim(cluster: str, call: Call, kinds: frozenset[CredentialKind]) -> Claim:
    return Claim(value=call.bearer, cluster=cluster or None, kinds=kinds)


def _patience(wait_seconds: int, call: Call) -> float:
    """How long a call may be held: as it wishes, and so that its client still hears the answer."""
    if call.seconds_left is None:
        return wait_seconds
    return min(wait_seconds, call.seconds_left - ANSWER_BEFORE_SECONDS)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def _echo(request: pb.Request, count: int) -> pb.Response:
    return pb.Response(
        request_id=request.content.id,
        message_count=count,
        messages_processed=count,
        processing_details="processed successfully",
    )
