from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime

from clusters.callers import Caller, Claim
from clusters.services.streaks import held_back_of
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.messages import (
    FINAL_STATES,
    OUTCOMES,
    SIGNAL_OUTCOMES,
    count_to_message,
    event_to_message,
    held_to_message,
    job_to_message,
    messages_that_fit,
    prospect_to_message,
    states_from,
    timestamp,
)
from grpc_api.rpcs.server_state import ANY, ServerState, bearer_claim
from grpc_api.runtime.wakeups import wait_for
from jobs.queries.explain import explain_found
from jobs.queries.found_job import FoundJob
from jobs.queries.lookup import MAX_LOOKUP, find_jobs, list_jobs
from jobs.queries.search import Search
from jobs.queries.summaries import summarize_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.signal import signal_jobs
from rainbow.errors import NO_SUCH_JOB, InvalidArgument, NotFound
from rainbow.protos import rainbow_pb2 as pb


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Jobs as they are now, and the ids of those that did not fit beside them."""

    jobs: list[pb.Job]
    remaining: list[int]


class JobRpcs:
    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def GetJobs(self, request: pb.GetJobsRequest, call: Call) -> pb.GetJobsResponse:
        claim = bearer_claim(call, request.cluster, ANY)
        return (await self._server.read(get, request, claim, call)).reply

    async def ListJobs(self, request: pb.ListJobsRequest, call: Call) -> pb.ListJobsResponse:
        claim = bearer_claim(call, request.cluster, ANY)
        return (await self._server.read(list_page, request, claim, call)).reply

    async def WatchJobs(self, request: pb.WatchJobsRequest, call: Call) -> AsyncIterator[pb.WatchJobsResponse]:
        claim = bearer_claim(call, request.cluster, ANY)
        seen: dict[int, int] = {}
        going = list(request.jobids)
        caller = await self._server.caller(replace(claim, reads=True))
        # As many as may be watched: the first read refuses more. It admits the caller again, who may have lost that.
        with self._server.wakeups.subscribe(*dict.fromkeys(going[:MAX_LOOKUP]), *caller.holders) as wakeup:
            while True:
                wakeup.clear()
                over: set[int] = set()
                async for job in self._changed(seen, going, claim, call):
                    over.update([job.id] if job.state in FINAL_STATES else [])
                    yield pb.WatchJobsResponse(job=job)
                # What is over stays as it is, or is pruned.
                going = [job_id for job_id in dict.fromkeys(going) if job_id not in over]
                if self._server.wakeups.closed or not going:
                    return
                await wait_for(wakeup)

    async def CancelJobs(self, request: pb.CancelJobsRequest, call: Call) -> pb.CancelJobsResponse:
        claim = bearer_claim(call, request.cluster, ANY)
        return (await self._server.write(cancel, request, claim, call)).reply

    async def SignalJobs(self, request: pb.SignalJobsRequest, call: Call) -> pb.SignalJobsResponse:
        claim = bearer_claim(call, request.cluster, ANY)
        return (await self._server.write(send_signal, request, claim, call)).reply

    async def SummarizeJobs(self, request: pb.SummarizeJobsRequest, call: Call) -> pb.SummarizeJobsResponse:
        claim = bearer_claim(call, request.cluster, ANY)
        return (await self._server.read(summarize, request, claim, call)).reply

    async def _changed(
        self, seen: dict[int, int], job_ids: list[int], claim: Claim, call: Call
    ) -> AsyncIterator[pb.Job]:
        """The jobs that are not as they were `seen`: by id a hash, since jobs may be large."""
        while True:
            answered = await self._server.read(watched, pb.WatchJobsRequest(jobids=job_ids), claim, call)
            for job in answered.reply.jobs:
                mark = hash(job.SerializeToString(deterministic=True))
                if seen.get(job.id) != mark:
                    seen[job.id] = mark
                    yield job
            if not (job_ids := answered.reply.remaining):
                return


def get(request: pb.GetJobsRequest, caller: Caller, now: datetime) -> pb.GetJobsResponse:
    found = find_jobs(by=caller, job_ids=request.jobids, with_events=request.with_events)
    jobs = list(messages_that_fit(_detail(job, with_events=request.with_events) for job in found.jobs))
    # Takes a few queries a job: only for a single one.
    if len(found.jobs) == 1 and not found.missing and not found.remaining:
        _explain(jobs[0], found.jobs[0], caller, now)
    unsent = [job.id for job in found.jobs[len(jobs) :]]
    return pb.GetJobsResponse(jobs=jobs, missing=found.missing, remaining=[*unsent, *found.remaining])


def list_page(request: pb.ListJobsRequest, caller: Caller, now: datetime) -> pb.ListJobsResponse:
    search = Search(
        states=states_from(request.states),
        labels=dict(request.labels),
        name=request.name,
        group=request.group,
        size=request.page_size,
        last=last_id(request.page_token),
    )
    page = list_jobs(by=caller, search=search)
    jobs = list(messages_that_fit(job_to_message(job, brief=True) for job in page.jobs))
    more = page.more or len(jobs) < len(page.jobs)
    last = jobs[-1].id if more else page.looked_until
    return pb.ListJobsResponse(jobs=jobs, next_page_token=str(last) if last else "")


def watched(request: pb.WatchJobsRequest, caller: Caller, now: datetime) -> Watched:
    """As many of the jobs as fit one reply. Raises InvalidArgument, and NotFound where one is missing."""
    found = find_jobs(by=caller, job_ids=request.jobids, brief=True)
    if found.missing:
        raise NotFound(f"{NO_SUCH_JOB}: {found.missing[0]}", field="jobids")
    jobs = [job_to_message(job, brief=True) for job in found.jobs]
    for job in jobs:
        job.ClearField("lease_expires_at")
    return Watched(jobs=jobs, remaining=found.remaining)


def cancel(request: pb.CancelJobsRequest, caller: Caller, now: datetime) -> pb.CancelJobsResponse:
    results = cancel_jobs(by=caller, job_ids=request.jobids, reason=request.reason, now=now)
    return pb.CancelJobsResponse(
        results=[
            pb.CancelResult(jobid=item.job_id, outcome=OUTCOMES[item.outcome], message=item.outcome.value)
            for item in results
        ]
    )


def send_signal(request: pb.SignalJobsRequest, caller: Caller, now: datetime) -> pb.SignalJobsResponse:
    results = signal_jobs(by=caller, job_ids=request.jobids, signal=request.signal, now=now)
    return pb.SignalJobsResponse(
        results=[
            pb.SignalResult(jobid=item.job_id, outcome=SIGNAL_OUTCOMES[item.outcome], message=item.outcome.value)
            for item in results
        ]
    )


def summarize(request: pb.SummarizeJobsRequest, caller: Caller, now: datetime) -> pb.SummarizeJobsResponse:
    caller.check_place()
    summary = summarize_jobs(cluster_ids=[caller.cluster_id])[0]
    return pb.SummarizeJobsResponse(
        cluster=caller.cluster,
        counts=[count_to_message(state, count) for state, count in summary.counts.items()],
        oldest_submitted_at=timestamp(summary.oldest_submitted_at),
        agent_last_asked_at=timestamp(caller.last_asked_at),
        paused=caller.paused_reason,
        not_ready=caller.not_ready,
        held_back=[held_to_message(one) for one in held_back_of(caller)],
    )


def _detail(job: FoundJob, *, with_events: bool) -> pb.Job:
    message = job_to_message(job, brief=False)
    if with_events:
        message.events.extend(event_to_message(event) for event in job.events)
    return message


def _explain(message: pb.Job, job: FoundJob, caller: Caller, now: datetime) -> None:
    if wait := explain_found(by=caller, job=job, now=now):
        message.why_waiting = wait.summary
        message.prospects.extend(prospect_to_message(prospect) for prospect in wait.prospects)


def last_id(page_token: str) -> int:
    if not page_token:
        return 0
    if not (page_token.isascii() and page_token.isdecimal() and len(page_token) <= 10):
        raise InvalidArgument("must be the next_page_token of an earlier answer", field="page_token")
    return int(page_token)
