"""The database's part of each RPC: translate, one service call, translate back. Runs in a thread."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from clusters.callers import Caller
from clusters.models import CredentialKind
from clusters.services.credentials import DEFAULT_LABEL, rotate_credential
from clusters.services.pause import resume_cluster, resume_token
from clusters.services.streaks import held_back
from grpc_api.rpcs.messages import (
    OUTCOMES,
    count_to_message,
    entries_that_fit,
    event_to_message,
    held_to_message,
    job_to_message,
    jobs_that_fit,
    kind_from,
    request_id,
    states_from,
    timestamp,
)
from jobs.models import Job
from jobs.queries.explain import explain_wait
from jobs.queries.lookup import find_jobs, list_jobs
from jobs.queries.queue import Wanted, request_jobs
from jobs.queries.search import Search
from jobs.queries.summaries import summarize_jobs
from jobs.services.cancel import cancel_jobs
from rainbow.errors import InvalidArgument, NotFound
from rainbow.protos import rainbow_pb2 as pb

DEFAULT_GRACE_SECONDS = 300


def request_jobs_reply(request: pb.RequestJobsRequest, caller: Caller, now: datetime) -> pb.RequestJobsResponse:
    wanted = Wanted(
        limit=request.maxJobs,
        max_nodes=request.max_nodes,
        max_tasks=request.max_tasks,
        max_time_limit_seconds=request.max_time_limit_seconds,
        labels=dict(request.labels),
    )
    entries = entries_that_fit(request_jobs(caller=caller, wanted=wanted), caller.cluster)
    found = pb.RequestJobsResponse
    return pb.RequestJobsResponse(
        request_id=request_id(),
        jobs=dict(entries),
        status=found.REQUEST_JOBS_SUCCESS if entries else found.REQUEST_JOBS_NORESULTS,
        jobids=[job_id for job_id, _ in entries],
        paused=caller.paused_reason,
    )


def get(request: pb.GetJobsRequest, caller: Caller, now: datetime) -> pb.GetJobsResponse:
    found = find_jobs(by=caller, job_ids=request.jobids, with_events=request.with_events)
    jobs = list(jobs_that_fit(_detail(job, with_events=request.with_events) for job in found.jobs))
    # A few queries for a job: for somebody who looks at one.
    if len(found.jobs) == 1 and not found.missing and not found.remaining:
        jobs[0].why_waiting = "; ".join(explain_wait(job=found.jobs[0], now=now))
    unsent = [job.id for job in found.jobs[len(jobs) :]]
    return pb.GetJobsResponse(jobs=jobs, missing=found.missing, remaining=[*unsent, *found.remaining])


def list_page(request: pb.ListJobsRequest, caller: Caller, now: datetime) -> pb.ListJobsResponse:
    search = Search(
        states=states_from(request.states),
        labels=dict(request.labels),
        name=request.name,
        size=request.page_size,
        last=_last_id(request.page_token),
    )
    page = list_jobs(by=caller, search=search)
    jobs = list(jobs_that_fit(job_to_message(job, brief=True) for job in page.jobs))
    more = page.more or len(jobs) < len(page.jobs)
    last = jobs[-1].id if more else page.looked_until
    return pb.ListJobsResponse(jobs=jobs, next_page_token=str(last) if last else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Jobs as they are now, and the ids of those that did not fit beside them."""

    jobs: list[pb.Job]
    remaining: list[int]


def watched(request: pb.WatchJobsRequest, caller: Caller, now: datetime) -> Watched:
    """The first of the jobs, as many as fit one answer. Raises InvalidArgument, and NotFound where one is missing."""
    found = find_jobs(by=caller, job_ids=request.jobids, brief=True)
    if found.missing:
        raise NotFound(f"there is no job {found.missing[0]}", field="jobids")
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


def summarize(request: pb.SummarizeJobsRequest, caller: Caller, now: datetime) -> pb.SummarizeJobsResponse:
    summary = summarize_jobs(cluster_ids=[caller.cluster_id])[0]
    return pb.SummarizeJobsResponse(
        cluster=caller.cluster,
        counts=[count_to_message(state, count) for state, count in summary.counts.items()],
        oldest_submitted_at=timestamp(summary.oldest_submitted_at),
        agent_last_asked_at=timestamp(caller.last_asked_at),
        paused=caller.paused_reason,
        not_ready=caller.not_ready,
        held_back=[held_to_message(one) for one in held_back(cluster_ids=[caller.cluster_id]) if caller.may_see(one)],
    )


def resume(request: pb.ResumeClusterRequest, caller: Caller, now: datetime) -> pb.ResumeClusterResponse:
    """A token lets its own jobs go on, a secret all of its cluster's."""
    if caller.kind == CredentialKind.TOKEN:
        resumed = resume_token(by=caller, now=now)
    else:
        resumed = resume_cluster(cluster_id=caller.cluster_id, by=caller, now=now)
    held = [held_to_message(one) for one in resumed.held_back]
    return pb.ResumeClusterResponse(paused=resumed.paused, held_back=held)


def rotate(request: pb.RotateCredentialRequest, caller: Caller, now: datetime) -> pb.RotateCredentialResponse:
    seconds = request.grace_seconds if request.HasField("grace_seconds") else DEFAULT_GRACE_SECONDS
    new = rotate_credential(
        cluster_id=caller.cluster_id,
        kind=kind_from(request.kind),
        label=request.label or DEFAULT_LABEL,
        grace=timedelta(seconds=seconds),
        by=caller,
        now=now,
    )
    return pb.RotateCredentialResponse(
        credential=new.value,
        kind=request.kind,
        label=new.credential.label,
        previous_expires_at=timestamp(new.credential.previous_expires_at or now),
    )


def _detail(job: Job, *, with_events: bool) -> pb.Job:
    message = job_to_message(job, brief=False)
    if with_events:
        message.events.extend(event_to_message(event) for event in job.events.all())
    return message


def _last_id(page_token: str) -> int:
    if not page_token:
        return 0
    if not (page_token.isascii() and page_token.isdecimal() and len(page_token) <= 10):
        raise InvalidArgument("must be the next_page_token of an earlier answer", field="page_token")
    return int(page_token)
