"""Letting a cluster get its jobs again: over gRPC, and by `rainbow resume`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from rainbow.client import Client
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import JobSpec, JobState, Registration
from rainbow.reports import JobReport
from tests.support import commandline
from tests.support.commandline import Run, answer
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import add_token, execute
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, bearer, joined, refusal_of

config_file = commandline.config_file
stranger = commandline.stranger
cluster = commandline.cluster
rainbow = commandline.rainbow


@pytest.fixture
def alpha(server: RainbowServer) -> Iterator[Remote]:
    with joined(server) as cluster:
        yield cluster


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


def test_the_secret_ends_a_pause_and_all_that_is_held_back(alpha: Remote, server: RainbowServer) -> None:
    held_back(server.address, alpha.name, token=alpha.token, secret=alpha.secret)
    pause = "UPDATE clusters_cluster SET paused_at = %s, paused_reason = %s WHERE name = %s"
    execute(server.database_url, pause, [datetime.now(UTC), "maintenance", alpha.name])
    jobid = alpha.submit().jobid

    answer = resume(alpha, alpha.by_secret)

    assert answer.paused == "maintenance"
    assert [(held.token, held.reason) for held in answer.held_back] == [
        ("default", "2 jobs in a row failed at once; the last one: no")
    ]
    assert list(alpha.request().jobids) == [jobid]


def test_a_token_reaches_its_own_jobs_alone(alpha: Remote, server: RainbowServer) -> None:
    add_token(server.database_url, alpha.name, label="other", value=f"rbt_{alpha.name}")
    held_back(server.address, alpha.name, token=alpha.token, secret=alpha.secret)

    refused = refusal_of(alpha.stub.ResumeCluster, pb.ResumeClusterRequest(), metadata=bearer(f"rbt_{alpha.name}"))
    resumed = resume(alpha, alpha.by_token)

    assert refused.code == grpc.StatusCode.FAILED_PRECONDITION
    assert "no jobs of this token are held back" in refused.text
    assert [held.token for held in resumed.held_back] == ["default"]


def test_a_request_that_waits_is_answered_when_its_cluster_is_resumed(alpha: Remote, server: RainbowServer) -> None:
    held_back(server.address, alpha.name, token=alpha.token, secret=alpha.secret)
    jobid = alpha.submit().jobid
    request = pb.RequestJobsRequest(cluster=alpha.name, secret=alpha.secret, wait_seconds=300)
    waiting = alpha.stub.RequestJobs.future(request, timeout=PATIENCE_SECONDS)

    resume(alpha, alpha.by_token)

    assert list(waiting.result().jobids) == [jobid]


# On the command line


def test_resume_uses_the_secret_and_tells_what_went_on(
    rainbow: Run, cluster: Registration, server: RainbowServer
) -> None:
    held_back(server.address, cluster.cluster, token=cluster.token, secret=cluster.secret)
    held = rainbow("summary").stdout

    resumed = rainbow("resume")
    again = rainbow("resume")

    assert f"{cluster.cluster} holds back the jobs of token default" in held
    words = "The jobs of token default go on: 2 jobs in a row failed at once; the last one: no\n"
    assert (resumed.exit_code, resumed.stdout) == (0, words)
    assert again.exit_code == 5
    assert "is not paused, and holds no jobs back" in again.stderr


def test_resume_with_a_token_alone(rainbow: Run, cluster: Registration, server: RainbowServer) -> None:
    held_back(server.address, cluster.cluster, token=cluster.token, secret=cluster.secret)

    document = answer(rainbow("resume", "--token", cluster.token, "--json"))

    assert document["paused"] == ""
    assert [held["token"] for held in document["held_back"]] == ["default"]
