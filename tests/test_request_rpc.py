"""Requesting jobs over gRPC: their order, the filters, and requests that wait."""

import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from grpc_api.runtime.wakeups import WAKE_FIRST
from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import cluster_asked
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, connected, eventually, ids_of, joined, spec


def test_jobs_are_offered_by_priority_and_then_by_age(remote: Remote) -> None:
    ids = [remote.submit(priority=priority).jobid for priority in (0, -1, 100, 0, -100, 100)]

    found = remote.request()

    assert list(found.jobids) == [ids[place] for place in (2, 5, 0, 3, 1, 4)]
    assert list(remote.request(maxJobs=3).jobids) == list(found.jobids)[:3]


@pytest.mark.parametrize(
    ("filters", "places"),
    [
        ({}, [0, 1, 2, 3]),
        ({"max_nodes": 1}, [0, 2]),
        ({"max_nodes": 2}, [0, 1, 2]),
        ({"max_tasks": 4}, [0, 2, 3]),
        ({"max_time_limit_seconds": 60}, [0, 1, 3]),
        ({"labels": {"gpu": "yes"}}, [1, 2]),
        ({"labels": {"gpu": "yes", "team": "x"}}, [2]),
        ({"labels": {"gpu": ""}}, []),
        ({"max_nodes": 1, "labels": {"gpu": "yes"}}, [2]),
        ({"max_nodes": 2, "maxJobs": 1}, [0]),
        ({"labels": {"team": "x"}, "maxJobs": 1}, [2]),
    ],
)
def test_a_cluster_is_offered_what_it_can_take(remote: Remote, filters: dict[str, Any], places: list[int]) -> None:
    ids = ids_of(
        remote.submit_many(
            spec(nodes=1, tasks=4),
            spec(nodes=2, tasks=5, time_limit_seconds=60, labels={"gpu": "yes"}),
            spec(nodes=1, time_limit_seconds=61, labels={"gpu": "yes", "team": "x"}),
            spec(nodes=3),
        )
    )

    found = remote.request(**filters)

    assert list(found.jobids) == [ids[place] for place in places]


def test_a_filter_finds_a_job_far_down_the_queue(remote: Remote) -> None:
    remote.submit_many(*[spec(nodes=2)] * 4_500)
    small = ids_of(remote.submit_many(spec(), spec(), spec(labels={"a": "b"})))

    assert list(remote.request(max_nodes=1).jobids) == small
    assert list(remote.request(labels={"a": "b"}).jobids) == small[2:]


def test_a_request_that_waits_is_answered_when_a_job_is_submitted(remote: Remote, server: RainbowServer) -> None:
    waiting = waiting_request(remote, server)

    job_id = remote.submit().jobid

    assert list(waiting.result().jobids) == [job_id]


def test_a_request_that_waits_is_answered_when_many_jobs_are_submitted(remote: Remote, server: RainbowServer) -> None:
    waiting = waiting_request(remote, server)

    (job_id,) = ids_of(remote.submit_many(spec()))

    assert job_id in waiting.result().jobs


def test_a_request_that_waits_does_not_hear_of_jobs_that_it_did_not_ask_for(
    remote: Remote, other_remote: Remote, server: RainbowServer
) -> None:
    waiting = waiting_request(remote, server, max_nodes=1)

    other_remote.submit()
    remote.submit(nodes=2)
    job_id = remote.submit(nodes=1).jobid

    assert list(waiting.result().jobids) == [job_id]


def test_a_request_that_waits_is_answered_when_another_server_takes_a_job(
    remote: Remote, server: RainbowServer, start_server: Callable[..., RainbowServer]
) -> None:
    other = start_server(database_url=server.database_url)
    waiting = waiting_request(remote, server)

    with connected(other.address) as stub:
        job_id = stub.SubmitJob(remote.submission()).jobid

    assert list(waiting.result().jobids) == [job_id]


def test_a_request_that_waits_is_answered_when_the_server_stops(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server()
    with joined(server) as cluster:
        waiting = waiting_request(cluster, server)
        began = time.monotonic()

        exit_code = server.stop()

        assert waiting.result().status == pb.RequestJobsResponse.REQUEST_JOBS_NORESULTS
    assert exit_code == 0
    assert time.monotonic() - began < PATIENCE_SECONDS / 2, "it did not wait for the call's own end"


def test_of_many_requests_that_wait_the_one_whose_bounds_admit_the_job_is_answered(
    remote: Remote, server: RainbowServer
) -> None:
    refusing = [waiting_request(remote, server, max_nodes=1) for _ in range(2 * WAKE_FIRST)]
    admitting = waiting_request(remote, server, max_nodes=8)

    (job_id,) = ids_of(remote.submit_many(spec(nodes=8)))

    assert list(admitting.result().jobids) == [job_id]
    assert not any(waiting.done() for waiting in refusing)
    for waiting in refusing:
        waiting.cancel()


def test_a_request_that_waits_is_answered_before_its_client_gives_up(remote: Remote) -> None:
    request = pb.RequestJobsRequest(cluster=remote.name, secret=remote.secret, wait_seconds=300)

    def answered() -> bool:
        """The server answers half a second before the client gives up, which a busy machine may miss at times."""
        try:
            found = remote.stub.RequestJobs(request, timeout=1)
        except grpc.RpcError:
            return False
        return bool(found.status == pb.RequestJobsResponse.REQUEST_JOBS_NORESULTS)

    eventually(answered)


def test_a_request_that_waits_is_answered_when_its_time_is_up(remote: Remote) -> None:
    found = remote.request(wait_seconds=1)

    assert found.status == pb.RequestJobsResponse.REQUEST_JOBS_NORESULTS


def test_a_request_that_may_wait_does_not_where_a_job_waits(remote: Remote) -> None:
    job_id = remote.submit().jobid

    assert list(remote.request(wait_seconds=300).jobids) == [job_id]


def waiting_request(cluster: Remote, server: RainbowServer, **filters: Any) -> Any:
    """A request that the server has looked at once and now holds."""
    request = pb.RequestJobsRequest(cluster=cluster.name, secret=cluster.secret, wait_seconds=300, **filters)
    call = cluster.stub.RequestJobs.future(request, timeout=PATIENCE_SECONDS)
    eventually(lambda: cluster_asked(server.database_url, cluster.name))
    return call
