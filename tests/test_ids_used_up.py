"""The last ids: they are 32-bit on the wire, and a job that cannot have one is refused before it is stored."""

from collections.abc import Callable

import grpc
from django.db import connection

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import count, execute
from tests.support.servers import RainbowServer
from tests.support.wire import joined, refusal_of

LAST = 2**31 - 1
TABLES = ("jobs_job", "jobs_jobevent", "jobs_joblabel", "clusters_cluster")


def test_the_last_id_is_given_out_and_the_next_job_is_refused(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server()
    with joined(server) as cluster:
        cluster.submit()
        leave_one_id(server.database_url)

        last = cluster.submit(labels={"a": "b"}, idempotency_key="k")
        before = count(server.database_url, *TABLES)
        one = refusal_of(cluster.stub.SubmitJob, cluster.submission(labels={"a": "b"}))
        specs = [pb.JobSpec(nodes=1, command="x"), pb.JobSpec(nodes=0)]
        many = refusal_of(cluster.stub.SubmitJobs, pb.SubmitJobsRequest(jobs=specs), metadata=cluster.by_token)

        assert last.jobid == LAST
        assert one.code == many.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "ids are used up" in one.text
        assert count(server.database_url, *TABLES) == before
        assert cluster.accept(LAST).status == pb.AcceptJobsResponse.RESULT_TYPE_SUCCESS
        assert cluster.summary() == {pb.JOB_STATE_QUEUED: 1, pb.JOB_STATE_ACCEPTED: 1}


def test_of_several_jobs_none_is_stored_where_not_all_can_have_an_id(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    with joined(server) as cluster:
        cluster.submit()
        leave_one_id(server.database_url)
        before = count(server.database_url, *TABLES)

        specs = [pb.JobSpec(nodes=1, command="x")] * 2
        refusal = refusal_of(
            cluster.stub.SubmitJobs,
            pb.SubmitJobsRequest(jobs=specs),
            metadata=cluster.by_token,
            timeout=PATIENCE_SECONDS,
        )

        assert refusal.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert count(server.database_url, *TABLES) == before
        assert cluster.summary() == {pb.JOB_STATE_QUEUED: 1}


def leave_one_id(database_url: str) -> None:
    if connection.vendor == "postgresql":
        execute(database_url, "SELECT setval(pg_get_serial_sequence('jobs_job', 'id'), %s)", [LAST - 1])
    else:
        execute(database_url, "UPDATE sqlite_sequence SET seq = %s WHERE name = 'jobs_job'", [LAST - 1])
