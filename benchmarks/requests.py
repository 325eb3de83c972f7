"""Requests as their callers send them: field by field, which a test compares with what it records of them."""

import os
from collections.abc import Iterator, Sequence
from itertools import repeat

from google.protobuf.message import Message

from benchmarks.cluster import Cluster
from rainbow import leases, translation
from rainbow.agent.acceptor import WAIT_SECONDS
from rainbow.connection import metadata_of
from rainbow.protos import rainbow_pb2 as pb
from rainbow.specs import JobSpec

COMMAND = "hostname"
AGENT = "benchmark"
# As long as the client's keys.
KEY = "?" * 32
# What the agent's options say unless told otherwise.
_HOLD_AFTER = 20


def metadata(credential: str = "") -> dict[str, str]:
    """Of the calls of this project's client. Those of published clients have none."""
    return dict(metadata_of(credential))


def keyed(request: Message) -> Iterator[bytes]:
    """The request again and again, with new random keys in place of `KEY`."""
    first, *parts = request.SerializeToString().split(KEY.encode())
    while parts:
        keys = os.urandom(len(parts) * len(KEY) // 2).hex().encode()
        pieces = [first]
        for place, part in enumerate(parts):
            pieces += (keys[place * len(KEY) : (place + 1) * len(KEY)], part)
        yield b"".join(pieces)
    yield from repeat(first)


def registration(name: str, secret: str) -> pb.RegisterRequest:
    return pb.RegisterRequest(name=name, secret=secret, sent=translation.now())


def submission(cluster: Cluster) -> pb.SubmitJobRequest:
    """As `rainbow submit` sends it."""
    spec = JobSpec(command=COMMAND, name=COMMAND, idempotency_key=KEY)
    return translation.submit_request(spec, cluster=cluster.name, token=cluster.token)


def published_submission(cluster: Cluster) -> pb.SubmitJobRequest:
    return pb.SubmitJobRequest(
        name=COMMAND, cluster=cluster.name, token=cluster.token, nodes=1, command=COMMAND, sent=translation.now()
    )


def job(command: str) -> pb.JobSpec:
    """One of many, as `rainbow submit --file` sends it."""
    return translation.job_spec(JobSpec(command=command, idempotency_key=KEY))


def agents_request(
    cluster: Cluster, *, jobs: int, room: int, wait_seconds: int = WAIT_SECONDS
) -> pb.RequestJobsRequest:
    """Of an agent that may take so many jobs, and has room for as many nodes, tasks and cores."""
    return pb.RequestJobsRequest(
        cluster=cluster.name,
        secret=cluster.secret,
        maxJobs=jobs,
        sent=translation.now(),
        wait_seconds=wait_seconds,
        max_nodes=room,
        max_tasks=room,
        max_cores=room,
        shared=True,
    )


def published_request(cluster: Cluster, *, jobs: int) -> pb.RequestJobsRequest:
    return pb.RequestJobsRequest(cluster=cluster.name, secret=cluster.secret, maxJobs=jobs, sent=translation.now())


def agents_acceptance(cluster: Cluster, job_ids: Sequence[int], *, agent: str = AGENT) -> pb.AcceptJobsRequest:
    return pb.AcceptJobsRequest(
        cluster=cluster.name,
        secret=cluster.secret,
        jobids=job_ids,
        sent=translation.now(),
        agent=agent,
        lease_seconds=leases.DEFAULT_SECONDS,
    )


def published_acceptance(cluster: Cluster, job_ids: Sequence[int]) -> pb.AcceptJobsRequest:
    return pb.AcceptJobsRequest(cluster=cluster.name, secret=cluster.secret, jobids=job_ids, sent=translation.now())


def report(cluster: Cluster, reports: Sequence[pb.JobReport], *, agent: str = AGENT) -> pb.ReportJobsRequest:
    return pb.ReportJobsRequest(
        cluster=cluster.name,
        agent=agent,
        reports=reports,
        lease_seconds=leases.DEFAULT_SECONDS,
        hold_after=_HOLD_AFTER,
    )


def still_running(job_id: int) -> pb.JobReport:
    """A heartbeat."""
    return pb.JobReport(
        jobid=job_id, attempt=1, state=pb.JOB_STATE_RUNNING, native_id=str(job_id), started_at=translation.now()
    )


def completed(job_id: int) -> pb.JobReport:
    now = translation.now()
    return pb.JobReport(
        jobid=job_id,
        attempt=1,
        state=pb.JOB_STATE_COMPLETED,
        native_id=str(job_id),
        exit_code=0,
        end_cause=pb.END_CAUSE_EXIT,
        output="a line of output\n",
        started_at=now,
        finished_at=now,
    )
