"""Credentials over gRPC: how they are rotated, and that every call wants one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import count, execute
from tests.support.servers import RainbowServer
from tests.support.wire import DENIED, Remote, bearer, pages, refusal_of, registration


def rotate(cluster: Remote, value: str = "", **fields: Any) -> pb.RotateCredentialResponse:
    """A new secret unless `kind` says otherwise; `value` is the secret that asks."""
    request = pb.RotateCredentialRequest(**{"kind": pb.CREDENTIAL_KIND_SECRET, **fields})
    return cluster.stub.RotateCredential(request, metadata=bearer(value or cluster.secret))


def may_pull(cluster: Remote, secret: str) -> bool:
    request = pb.RequestJobsRequest(cluster=cluster.name, secret=secret)
    try:
        cluster.stub.RequestJobs(request, timeout=PATIENCE_SECONDS)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED
        return False
    return True


def test_a_rotated_secret_works_and_the_old_one_works_beside_it_for_a_while(
    remote: Remote, server: RainbowServer
) -> None:
    before = datetime.now(UTC)

    new = rotate(remote, grace_seconds=60)

    assert new.credential not in ("", remote.secret)
    assert (new.kind, new.label) == (pb.CREDENTIAL_KIND_SECRET, "default")
    assert new.previous_expires_at.ToDatetime(UTC) - before >= timedelta(seconds=60)
    assert may_pull(remote, new.credential)
    assert may_pull(remote, remote.secret)
    execute(
        server.database_url,
        "UPDATE clusters_formervalue SET expires_at = %s WHERE credential_id = (SELECT k.id FROM clusters_credential k"
        " JOIN clusters_cluster c ON c.id = k.cluster_id WHERE k.kind = 'secret' AND c.name = %s)",
        [before, remote.name],
    )
    assert may_pull(remote, new.credential)
    assert not may_pull(remote, remote.secret)


def test_grace_is_five_minutes_where_nothing_was_said_and_none_where_none_was_wished(remote: Remote) -> None:
    before = datetime.now(UTC)

    with_grace = rotate(remote)
    without = rotate(remote, with_grace.credential, grace_seconds=0)

    assert with_grace.previous_expires_at.ToDatetime(UTC) - before >= timedelta(seconds=300)
    assert may_pull(remote, without.credential)
    assert not may_pull(remote, with_grace.credential)
    assert not may_pull(remote, remote.secret)


def test_rotating_again_with_the_old_secret_makes_up_for_an_answer_that_was_lost(remote: Remote) -> None:
    lost = rotate(remote)

    found = rotate(remote)

    assert all(may_pull(remote, value) for value in (remote.secret, lost.credential, found.credential))


def test_a_secret_replaces_the_token_and_the_jobs_stay_with_it(remote: Remote) -> None:
    job_id = remote.submit().jobid

    new = rotate(remote, kind=pb.CREDENTIAL_KIND_TOKEN, grace_seconds=0)

    assert refusal_of(remote.stub.SubmitJob, remote.submission()) == DENIED
    second = remote.submit(token=new.credential).jobid
    assert [job.id for page in pages(remote, by=new.credential) for job in page] == [second, job_id]


def test_a_token_cannot_rotate_and_nobody_rotates_for_another_cluster(remote: Remote, other_remote: Remote) -> None:
    request = pb.RotateCredentialRequest(cluster=remote.name, kind=pb.CREDENTIAL_KIND_TOKEN)

    refusals = [
        refusal_of(remote.stub.RotateCredential, request, metadata=bearer(value))
        for value in (remote.token, other_remote.secret, "wrong")
    ]

    assert refusals == [DENIED] * 3
    assert remote.submit().jobid


def test_a_label_that_no_credential_has_is_not_found(remote: Remote) -> None:
    request = pb.RotateCredentialRequest(kind=pb.CREDENTIAL_KIND_SECRET, label="unheard-of")

    refusal = refusal_of(remote.stub.RotateCredential, request, metadata=remote.by_secret)

    assert (refusal.code, refusal.field) == (grpc.StatusCode.NOT_FOUND, "label")


def test_the_frozen_calls_take_the_credential_from_the_metadata(remote: Remote, server: RainbowServer) -> None:
    stub, secret = remote.stub, server.registration_secret

    new = stub.Register(registration(server, secret=""), metadata=bearer(secret))
    job_id = stub.SubmitJob(remote.submission(token=""), metadata=remote.by_token).jobid
    found = stub.RequestJobs(pb.RequestJobsRequest(cluster=remote.name), metadata=remote.by_secret)
    accepted = stub.AcceptJobs(
        pb.AcceptJobsRequest(cluster=remote.name, jobids=[job_id]),
        metadata=(("authorization", f"bEARER {remote.secret}"),),
    )

    assert new.token
    assert list(found.jobids) == [job_id]
    assert [job.jobid for job in accepted.accepted] == [job_id]


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        ("SubmitJobs", pb.SubmitJobsRequest(jobs=[pb.JobSpec(nodes=1, command="x")])),
        ("GetJobs", pb.GetJobsRequest(jobids=[1])),
        ("ListJobs", pb.ListJobsRequest()),
        ("CancelJobs", pb.CancelJobsRequest(jobids=[1])),
        ("SignalJobs", pb.SignalJobsRequest(jobids=[1], signal="USR1")),
        ("AwaitWishes", pb.AwaitWishesRequest(agent="login1")),
        ("SummarizeJobs", pb.SummarizeJobsRequest()),
        ("RotateCredential", pb.RotateCredentialRequest(kind=pb.CREDENTIAL_KIND_SECRET)),
    ],
)
def test_a_new_call_wants_a_good_credential_in_the_metadata(
    remote: Remote, other_remote: Remote, server: RainbowServer, call: str, request_: Any
) -> None:
    before = count(server.database_url, "jobs_job")
    elsewhere = type(request_)()
    elsewhere.CopyFrom(request_)
    elsewhere.cluster = other_remote.name

    method = getattr(remote.stub, call)

    assert refusal_of(method, request_).text.endswith(" is required")
    assert refusal_of(method, request_, metadata=(("authorization", remote.secret),)).text.endswith(" is required")
    assert refusal_of(method, request_, metadata=bearer("wrong")) == DENIED
    assert refusal_of(method, elsewhere, metadata=remote.by_token) == DENIED
    assert refusal_of(method, elsewhere, metadata=remote.by_secret) == DENIED
    assert count(server.database_url, "jobs_job") == before
