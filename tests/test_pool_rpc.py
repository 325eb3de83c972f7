"""A pool over gRPC: its token does what a cluster's token does, and nothing pulls in its name."""

import subprocess
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.commandline import Run, answer
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import MANAGE, RainbowServer, environment_for
from tests.support.wire import DENIED, Remote, bearer, new_name, refusal_of


@pytest.fixture
def pool(server: RainbowServer, remote: Remote, other_remote: Remote) -> Remote:
    """Of two clusters, made on the server's command line. Its secret is its token: it has no other."""
    name = new_name()
    command = [*MANAGE, "pool", "create", name, remote.name, f"{other_remote.name}:3600"]
    done = subprocess.run(
        command,
        env=environment_for(server.database_url),
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    token = done.stdout.splitlines()[-1]
    return Remote(name=name, token=token, secret=token, stub=remote.stub)


def reported(jobid: int) -> pb.ReportJobsRequest:
    report = pb.JobReport(jobid=jobid, attempt=1, state=pb.JOB_STATE_COMPLETED)
    return pb.ReportJobsRequest(agent="agent-1", reports=[report])


def test_a_published_client_submits_to_a_pool(pool: Remote, server: RainbowServer) -> None:
    """With the fields of the original protocol alone."""
    with grpc.insecure_channel(server.address) as channel:
        submit = channel.unary_unary(
            f"/{pb.DESCRIPTOR.services_by_name['RainbowScheduler'].full_name}/SubmitJob",
            request_serializer=pb.SubmitJobRequest.SerializeToString,
            response_deserializer=pb.SubmitJobResponse.FromString,
        )
        request = pb.SubmitJobRequest(
            name="hello", cluster=pool.name, token=pool.token, nodes=1, tasks=1, command="hostname"
        )
        reply = submit(request, timeout=PATIENCE_SECONDS)

    assert reply.jobid > 0
    assert not reply.warning, "published clients print fields that they do not know"


def test_a_name_of_a_pool_is_taken(pool: Remote, server: RainbowServer) -> None:
    request = pb.RegisterRequest(name=pool.name, secret=server.registration_secret)

    reply = pool.stub.Register(request, timeout=PATIENCE_SECONDS)

    assert reply.status == pb.RegisterResponse.ResultType.REGISTER_EXISTS


Call = Callable[[Remote, int], tuple[str, Any]]
PULLS: dict[str, Call] = {
    "RequestJobs": lambda pool, job: ("RequestJobs", pb.RequestJobsRequest(cluster=pool.name, secret=pool.token)),
    "RequestJobs shared": lambda pool, job: (
        "RequestJobs",
        pb.RequestJobsRequest(cluster=pool.name, secret=pool.token, shared=True),
    ),
    "AcceptJobs": lambda pool, job: ("AcceptJobs", pool.acceptance(job)),
    "AcceptJobs for an agent": lambda pool, job: ("AcceptJobs", pool.acceptance(job, agent="agent-1")),
    "ReportJobs": lambda pool, job: ("ReportJobs", reported(job)),
    "RotateCredential": lambda pool, job: ("RotateCredential", pb.RotateCredentialRequest()),
}


@pytest.mark.parametrize("call", PULLS)
def test_nothing_pulls_or_reports_in_the_name_of_a_pool(pool: Remote, call: str) -> None:
    job = pool.submit().jobid
    name, request = PULLS[call](pool, job)

    refusal = refusal_of(getattr(pool.stub, name), request, metadata=bearer(pool.token))

    assert refusal == DENIED
    assert seen(pool, job).state == pb.JOB_STATE_QUEUED


def seen(pool: Remote, job: int) -> pb.Job:
    (found,) = pool.stub.GetJobs(pb.GetJobsRequest(jobids=[job]), metadata=pool.by_token, timeout=PATIENCE_SECONDS).jobs
    return found


def test_a_job_is_watched_from_the_pool_into_the_cluster_that_takes_it(pool: Remote, remote: Remote) -> None:
    job = pool.submit().jobid
    request = pb.WatchJobsRequest(jobids=[job])
    updates = pool.stub.WatchJobs(request, metadata=pool.by_token, timeout=PATIENCE_SECONDS)
    first = next(updates).job
    assert (first.cluster, first.state) == (pool.name, pb.JOB_STATE_QUEUED)

    assert list(remote.request(shared=True).jobids) == [job]
    remote.accept(job, agent="agent-1")

    accepted = next(update.job for update in updates if update.job.state == pb.JOB_STATE_ACCEPTED)
    assert accepted.cluster == remote.name
    updates.cancel()


def test_the_members_pull_and_report_with_their_own_secrets(pool: Remote, remote: Remote, other_remote: Remote) -> None:
    job = pool.submit().jobid

    assert list(remote.request().jobids) == list(other_remote.request(shared=True).jobids) == []
    assert list(remote.request(shared=True).jobids) == [job]
    remote.accept(job, agent="agent-1")
    remote.stub.ReportJobs(reported(job), metadata=remote.by_secret, timeout=PATIENCE_SECONDS)

    assert (seen(pool, job).state, seen(pool, job).cluster) == (pb.JOB_STATE_COMPLETED, remote.name)


# On the command line


def test_the_command_line_works_on_a_pool_as_on_a_cluster(
    pool: Remote, remote: Remote, stranger: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAINBOW_CLUSTER", pool.name)
    monkeypatch.setenv("RAINBOW_TOKEN", pool.token)

    first, second = (answer(stranger("submit", "--json", "hostname"))["jobid"] for _ in range(2))
    remote.request(shared=True)
    remote.accept(first, agent="agent-1")

    listed = {job["id"]: job["cluster"] for job in answer(stranger("jobs", "--json"))["jobs"]}
    assert listed == {first: remote.name, second: pool.name}
    title, *rows = [line.split() for line in stranger("jobs").stdout.splitlines()]
    assert title == ["ID", "STATE", "CLUSTER", "NAME", "NODES", "SUBMITTED", "COMMAND"]
    assert [row[2] for row in rows] == [pool.name, remote.name]
    summary = answer(stranger("summary", "--json"))
    assert (summary["cluster"], summary["counts"]["queued"]) == (pool.name, 1)
    assert stranger("cancel", str(second)).exit_code == 0
    assert seen(pool, second).state == pb.JOB_STATE_CANCELLED
