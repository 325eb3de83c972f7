"""Letting a cluster get its jobs again: over gRPC, and by `rainbow resume`."""

from datetime import UTC, datetime
from typing import Any

import grpc

from rainbow.client import Client
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import JobSpec, JobState
from rainbow.reports import JobReport
from tests.support.commandline import Run, answer
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import add_token, execute
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, bearer, refusal_of


def held_back(address: str, name: str, *, token: str, secret: str) -> None:
    """Jobs of the token fail until it is held back."""
    with (
        Client(address, cluster=name, token=token) as submitter,
        Client(address, cluster=name, secret=secret) as puller,
    ):
        for spec in [JobSpec(command="hostname")] * 2:
            jobid = submitter.submit_job(spec).jobid
            puller.accept_jobs([jobid], agent="agent-1")
            failure = JobReport(jobid=jobid, attempt=1, state=JobState.FAILED, native_id="7", exit_code=1, reason="no")
            puller.report_jobs([failure], agent="agent-1", hold_after=2)


def resume(cluster: Remote, metadata: Any) -> pb.ResumeClusterResponse:
    return cluster.stub.ResumeCluster(pb.ResumeClusterRequest(), metadata=metadata, timeout=PATIENCE_SECONDS)


def test_the_secret_ends_a_pause_and_all_that_is_held_back(remote: Remote, server: RainbowServer) -> None:
    held_back(server.address, remote.name, token=remote.token, secret=remote.secret)
    pause = "UPDATE clusters_cluster SET paused_at = %s, paused_reason = %s WHERE name = %s"
    execute(server.database_url, pause, [datetime.now(UTC), "maintenance", remote.name])
    jobid = remote.submit().jobid

    answer = resume(remote, remote.by_secret)

    assert answer.paused == "maintenance"
    assert [(held.token, held.reason) for held in answer.held_back] == [
        ("default", "2 jobs in a row failed at once; the last one: no")
    ]
    assert list(remote.request().jobids) == [jobid]


def test_a_token_reaches_its_own_jobs_alone(remote: Remote, server: RainbowServer) -> None:
    add_token(server.database_url, remote.name, label="other", value=f"rbt_{remote.name}")
    held_back(server.address, remote.name, token=remote.token, secret=remote.secret)

    refused = refusal_of(remote.stub.ResumeCluster, pb.ResumeClusterRequest(), metadata=bearer(f"rbt_{remote.name}"))
    resumed = resume(remote, remote.by_token)

    assert refused.code == grpc.StatusCode.FAILED_PRECONDITION
    assert "no jobs of this token are held back" in refused.text
    assert [held.token for held in resumed.held_back] == ["default"]


def test_a_request_that_waits_is_answered_when_its_cluster_is_resumed(remote: Remote, server: RainbowServer) -> None:
    held_back(server.address, remote.name, token=remote.token, secret=remote.secret)
    jobid = remote.submit().jobid
    request = pb.RequestJobsRequest(cluster=remote.name, secret=remote.secret, wait_seconds=300)
    waiting = remote.stub.RequestJobs.future(request, timeout=PATIENCE_SECONDS)

    resume(remote, remote.by_token)

    assert list(waiting.result().jobids) == [jobid]


# On the command line


def test_resume_uses_the_secret_and_tells_what_went_on(rainbow: Run, remote: Remote, server: RainbowServer) -> None:
    held_back(server.address, remote.name, token=remote.token, secret=remote.secret)
    held = rainbow("summary").stdout

    resumed = rainbow("resume")
    again = rainbow("resume")

    assert f"{remote.name} holds back the jobs of token default" in held
    words = "The jobs of token default go on: 2 jobs in a row failed at once; the last one: no\n"
    assert (resumed.exit_code, resumed.stdout) == (0, words)
    assert again.exit_code == 5
    assert "is not paused, and holds no jobs back" in again.stderr


def test_resume_with_a_token_alone(rainbow: Run, remote: Remote, server: RainbowServer) -> None:
    held_back(server.address, remote.name, token=remote.token, secret=remote.secret)

    document = answer(rainbow("resume", "--token", remote.token, "--json"))

    assert document["paused"] == ""
    assert [held["token"] for held in document["held_back"]] == ["default"]
