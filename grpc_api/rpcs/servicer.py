"""The RPCs: who asks, in which thread it is answered, and who is woken by it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial

from clusters.callers import Caller, Claim
from clusters.models import CredentialKind
from clusters.services.authenticate import admit
from clusters.validation import check_range
from grpc_api.rpcs import jobs
from grpc_api.rpcs.batches import Answer, Answered, Asked, Reply, Request, read_together
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.messages import FINAL_STATES, bounds_from, request_id
from grpc_api.rpcs.queue import accept_batch
from grpc_api.rpcs.registration import register
from grpc_api.rpcs.reporting import report_batch
from grpc_api.rpcs.submission import ManyJobs, Submission, submit_batch, submit_many
from grpc_api.runtime.group_commit import GroupCommit, Work
from grpc_api.runtime.last_seen import LastSeenNotes
from grpc_api.runtime.streams import until
from grpc_api.runtime.thread_pools import ThreadPool, ThreadPools
from grpc_api.runtime.wakeups import Wakeups
from rainbow.protos import rainbow_pb2 as pb

AnswerAll = Callable[[list[Asked[Request]], datetime], list[Answered[Reply] | Exception]]

TOKEN = frozenset({CredentialKind.TOKEN})
SECRET = frozenset({CredentialKind.SECRET})
EITHER = TOKEN | SECRET

MAX_WAIT_SECONDS = 300
# A waiting call looks for itself this often: it is seen to be there, and a credential that was revoked ends it.
LOOK_EVERY_SECONDS = 60
# A waiting call is answered this long before its client gives up.
ANSWER_BEFORE_SECONDS = 0.5


def utc_now() -> datetime:
    return datetime.now(UTC)


class RainbowServicer:
    """One method for each RPC of the proto, of the same name."""

    def __init__(
        self,
        *,
        pools: ThreadPools,
        wakeups: Wakeups,
        registration_secret: str,
        batch: int,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._pools = pools
        self._wakeups = wakeups
        self._registration_secret = registration_secret
        self._clock = clock
        self._last_seen = LastSeenNotes(pools)
        self._submit = GroupCommit(self._in_pool(pools.write, submit_batch), most=batch)
        self._look = GroupCommit(self._in_pool(pools.read, partial(read_together, jobs.request_jobs_reply)), most=batch)
        self._accept = GroupCommit(
            self._in_pool(pools.write, accept_batch), most=batch, jobs_of=lambda asked: len(asked[0].jobids)
        )
        self._report = GroupCommit(
            self._in_pool(pools.write, report_batch), most=batch, jobs_of=lambda asked: len(asked[0].reports)
        )

    async def admit(self, call: Call) -> None:
        """Raises Unauthenticated where the call's bearer is nobody: for requests that are costly to look at."""
        claim = Claim(value=call.bearer)
        await self._pools.read(partial(admit, claim, now=self._clock()), caller=claim.value)

    async def Register(self, request: pb.RegisterRequest, call: Call) -> pb.RegisterResponse:
        peer = call.peer()
        registration = await self._pools.write(
            lambda: register(
                request,
                offered_secret=request.secret or call.bearer,
                registration_secret=self._registration_secret,
                peer=peer,
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
        reply = await self._shared(self._submit, request, claim, call)
        call.note(job=reply.jobid, duplicate=reply.duplicate or None)
        if not reply.duplicate:
            self._wakeups.wake([request.cluster])
        return reply

    async def SubmitJobs(self, request: pb.SubmitJobsRequest, call: Call) -> pb.SubmitJobsResponse:
        submission = await self._submit_many(request, call)
        call.note(jobs=len(request.jobs) - submission.refused, refused=submission.refused)
        return submission.reply

    async def SubmitJobStream(
        self, requests: AsyncIterator[pb.SubmitJobStreamRequest], call: Call
    ) -> AsyncIterator[pb.SubmitJobStreamResponse]:
        queued = 0
        async for request in until(self._wakeups.closing, requests):
            submission = await self._submit_many(request, call)
            queued += len(request.jobs) - submission.refused
            call.note(jobs=queued)
            yield pb.SubmitJobStreamResponse(results=submission.reply.results)

    async def RequestJobs(self, request: pb.RequestJobsRequest, call: Call) -> pb.RequestJobsResponse:
        claim = Claim(value=request.secret or call.bearer, cluster=request.cluster, kinds=SECRET)
        reply = await self._shared(self._look, request, claim, call)
        check_range(request.wait_seconds, field="wait_seconds", lowest=0, highest=MAX_WAIT_SECONDS)
        if request.wait_seconds and not reply.jobids:
            reply = await self._wait_for_jobs(request, claim, call)
        call.note(jobs=len(reply.jobids))
        return reply

    async def AcceptJobs(self, request: pb.AcceptJobsRequest, call: Call) -> pb.AcceptJobsResponse:
        claim = Claim(value=request.secret or call.bearer, cluster=request.cluster, kinds=SECRET)
        reply = await self._shared(self._accept, request, claim, call)
        call.note(accepted=len(reply.accepted), refused=len(reply.refused))
        return reply

    async def GetJobs(self, request: pb.GetJobsRequest, call: Call) -> pb.GetJobsResponse:
        claim = _claim(request.cluster, call, EITHER)
        return await self._answer(self._pools.read, claim, jobs.get, request, call)

    async def ListJobs(self, request: pb.ListJobsRequest, call: Call) -> pb.ListJobsResponse:
        claim = _claim(request.cluster, call, EITHER)
        return await self._answer(self._pools.read, claim, jobs.list_page, request, call)

    async def CancelJobs(self, request: pb.CancelJobsRequest, call: Call) -> pb.CancelJobsResponse:
        claim = _claim(request.cluster, call, EITHER)
        return await self._answer(self._pools.write, claim, jobs.cancel, request, call)

    async def SummarizeJobs(self, request: pb.SummarizeJobsRequest, call: Call) -> pb.SummarizeJobsResponse:
        claim = _claim(request.cluster, call, EITHER)
        return await self._answer(self._pools.read, claim, jobs.summarize, request, call)

    async def ResumeCluster(self, request: pb.ResumeClusterRequest, call: Call) -> pb.ResumeClusterResponse:
        claim = _claim(request.cluster, call, EITHER)
        reply = await self._answer(self._pools.write, claim, jobs.resume, request, call)
        call.note(held_back=len(reply.held_back) or None)
        self._wakeups.wake([str(call.notes["cluster"])])
        return reply

    async def RotateCredential(self, request: pb.RotateCredentialRequest, call: Call) -> pb.RotateCredentialResponse:
        claim = _claim(request.cluster, call, SECRET)
        reply = await self._answer(self._pools.write, claim, jobs.rotate, request, call)
        call.note(kind=pb.CredentialKind.Name(reply.kind), peer=call.peer())
        return reply

    async def ReportJobs(self, request: pb.ReportJobsRequest, call: Call) -> pb.ReportJobsResponse:
        claim = _claim(request.cluster, call, SECRET)
        reply = await self._shared(self._report, request, claim, call)
        call.note(reports=len(request.reports))
        self._wakeups.wake([result.jobid for result in reply.results])
        return reply

    async def WatchJobs(self, request: pb.WatchJobsRequest, call: Call) -> AsyncIterator[pb.WatchJobsResponse]:
        claim = _claim(request.cluster, call, EITHER)
        # Nothing is kept for a caller who is not admitted, nor for more jobs than may be watched.
        await self._answer(self._pools.read, claim, jobs.watched, request, call)
        seen: dict[int, int] = {}
        going = list(dict.fromkeys(request.jobids))
        with self._wakeups.subscribe(*going) as wakeup:
            while going:
                wakeup.clear()
                over: set[int] = set()
                async for job in self._steps_since(seen, going, claim, call):
                    over.update([job.id] if job.state in FINAL_STATES else [])
                    yield pb.WatchJobsResponse(job=job)
                # What is over stays as it is, or is pruned.
                going = [job_id for job_id in going if job_id not in over]
                if self._wakeups.closed:
                    return
                if going:
                    await _wait(wakeup, LOOK_EVERY_SECONDS)

    async def Serial(self, request: pb.Request, call: Call) -> pb.Response:
        return _echo(request, 1)

    async def Stream(self, requests: AsyncIterator[pb.Request], call: Call) -> AsyncIterator[pb.Response]:
        count = 0
        async for request in until(self._wakeups.closing, requests):
            count += 1
            yield _echo(request, count)
        call.note(messages=count)

    async def _wait_for_jobs(self, request: pb.RequestJobsRequest, claim: Claim, call: Call) -> pb.RequestJobsResponse:
        """Looks at the queue at once, since something may have come before this call was expecting it, and then again
        with each arrival. Nothing is kept for a caller who was not admitted.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + _patience(request.wait_seconds, call)
        with self._wakeups.subscribe(request.cluster) as wakeup:
            while True:
                wakeup.clear()
                reply = await self._shared(self._look, request, claim, call)
                if reply.jobids or clock() >= deadline or self._wakeups.closed:
                    return reply
                await _wait(wakeup, min(deadline - clock(), LOOK_EVERY_SECONDS))

    async def _steps_since(
        self, seen: dict[int, int], job_ids: list[int], claim: Claim, call: Call
    ) -> AsyncIterator[pb.Job]:
        """Those of the jobs that are not as they were seen. Of what was seen a hash is kept: jobs may be large."""
        while job_ids:
            request = pb.WatchJobsRequest(jobids=job_ids)
            watched = await self._answer(self._pools.read, claim, jobs.watched, request, call)
            for job in watched.jobs:
                mark = hash(job.SerializeToString(deterministic=True))
                if seen.get(job.id) != mark:
                    seen[job.id] = mark
                    yield job
            job_ids = watched.remaining

    async def _submit_many(self, request: ManyJobs, call: Call) -> Submission:
        claim = _claim(request.cluster, call, TOKEN)
        submission = await self._answer(self._pools.write, claim, submit_many, request, call)
        self._wakeups.wake([str(call.notes["cluster"])])
        return submission

    def _in_pool(
        self, pool: ThreadPool, answer_all: AnswerAll[Request, Reply]
    ) -> Work[Asked[Request], Answered[Reply]]:
        async def work(asked: list[Asked[Request]]) -> list[Answered[Reply] | Exception]:
            return await pool(partial(answer_all, asked, self._clock()))

        return work

    async def _shared(
        self, batch: GroupCommit[Asked[Request], Answered[Reply]], request: Request, claim: Claim, call: Call
    ) -> Reply:
        """Answers a frequent call together with those of its kind that arrive meanwhile."""
        caller, reply = await batch((request, claim))
        self._note(caller, request, call)
        return reply

    async def _answer(
        self, pool: ThreadPool, claim: Claim, answer: Answer[Request, Reply], request: Request, call: Call
    ) -> Reply:
        """Answers a rare call by itself."""
        now = self._clock()

        def admit_and_answer() -> Answered[Reply]:
            caller = admit(claim, now=now)
            return caller, answer(request, caller, now)

        caller, reply = await pool(admit_and_answer, caller=claim.value)
        self._note(caller, request, call)
        return reply

    def _note(self, caller: Caller, request: object, call: Call) -> None:
        call.note(cluster=caller.cluster, **caller.issue)
        asked = bounds_from(request) if isinstance(request, pb.RequestJobsRequest) else None
        self._last_seen.note(caller, self._clock(), asked=asked)


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
    reply = pb.Response(
        request_id=request.content.id,
        message_count=count,
        messages_processed=count,
        processing_details="processed successfully",
    )
    reply.answered_at.GetCurrentTime()
    return reply
