"""Long files of jobs, streamed batch by batch."""

import queue
from collections.abc import Callable

import grpc
import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import count
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, joined


def batch(*keys: str) -> pb.SubmitJobStreamRequest:
    return pb.SubmitJobStreamRequest(
        jobs=[pb.JobSpec(nodes=1, command=f"echo {key}", idempotency_key=key) for key in keys]
    )


def submit(remote: Remote, *batches: pb.SubmitJobStreamRequest) -> list[list[pb.SubmitResult]]:
    stream = remote.stub.SubmitJobStream(iter(batches), metadata=bearer(remote.token), timeout=PATIENCE_SECONDS)
    return [list(reply.results) for reply in stream]


def bearer(value: str) -> tuple[tuple[str, str]]:
    return (("authorization", f"Bearer {value}"),)


def test_each_batch_is_answered_with_the_ids_of_its_jobs(remote: Remote) -> None:
    first, second = submit(remote, batch("a", "b"), batch("c"))

    ids = [result.jobid for result in (*first, *second)]
    jobs = remote.stub.GetJobs(pb.GetJobsRequest(jobids=ids), metadata=bearer(remote.token)).jobs
    assert [job.command for job in jobs] == ["echo a", "echo b", "echo c"]


def test_a_batch_is_answered_before_the_next_one_is_sent(remote: Remote) -> None:
    batches: queue.Queue[pb.SubmitJobStreamRequest | None] = queue.Queue()
    stream = remote.stub.SubmitJobStream(
        iter(batches.get, None), metadata=bearer(remote.token), timeout=PATIENCE_SECONDS
    )

    batches.put(batch("one"))
    first = next(stream)
    batches.put(batch("two"))
    second = next(stream)
    batches.put(None)

    assert first.results[0].jobid < second.results[0].jobid
    assert list(stream) == []


def test_a_stream_taken_up_again_makes_nothing_twice(remote: Remote) -> None:
    (first,) = submit(remote, batch("a", "b"))

    again, rest = submit(remote, batch("a", "b"), batch("c"))

    assert [result.jobid for result in again] == [result.jobid for result in first]
    assert all(result.duplicate for result in again)
    assert not rest[0].duplicate


def test_a_job_that_was_there_already_costs_the_same_in_a_long_queue(remote: Remote) -> None:
    (first,) = submit(remote, batch("a", "b"))

    (again,) = submit(remote, batch("b", "c"))

    assert [result.position for result in first] == [1, 2]
    assert [result.position for result in again] == [0, 3]  # to find the place of `b` would take counting


def test_a_bad_job_is_refused_alone(remote: Remote) -> None:
    bad = pb.SubmitJobStreamRequest(jobs=[pb.JobSpec(nodes=0, command="true"), pb.JobSpec(nodes=1, command="true")])

    (results,) = submit(remote, bad)

    assert (results[0].error.code, results[0].error.field) == ("INVALID_ARGUMENT", "nodes")
    assert results[1].jobid


def test_a_stranger_may_not_stream(remote: Remote) -> None:
    stream = remote.stub.SubmitJobStream(iter([batch("a")]), metadata=bearer("wrong"), timeout=PATIENCE_SECONDS)

    with pytest.raises(grpc.RpcError) as refusal:
        next(stream)

    assert refusal.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_a_batch_without_jobs_ends_the_stream_and_what_came_before_stays(remote: Remote) -> None:
    stream = remote.stub.SubmitJobStream(
        iter([batch("a"), pb.SubmitJobStreamRequest(), batch("b")]),
        metadata=bearer(remote.token),
        timeout=PATIENCE_SECONDS,
    )

    first = next(stream)
    with pytest.raises(grpc.RpcError) as refusal:
        next(stream)

    assert first.results[0].jobid
    assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "jobs" in refusal.value.details()


@pytest.mark.parametrize("call", ["Stream", "SubmitJobStream"])
def test_a_silent_stream_does_not_hold_up_a_server_that_stops(
    start_server: Callable[..., RainbowServer], call: str
) -> None:
    server = start_server()
    with joined(server) as remote:
        messages = {"Stream": pb.Request(), "SubmitJobStream": batch("a")}
        requests: queue.Queue[object] = queue.Queue()
        requests.put(messages[call])
        stream = getattr(remote.stub, call)(
            iter(requests.get, None), metadata=bearer(remote.token), timeout=PATIENCE_SECONDS
        )
        next(stream)

        code = server.stop()

        # Its end came from the server; after the grace for calls in flight it would have been cut off.
        assert list(stream) == []
        requests.put(None)
    assert code == 0


def test_what_was_answered_before_a_kill_is_there_and_the_rest_follows_once(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    batches = [batch(*(f"{place}/{number}" for number in range(20))) for place in range(50)]
    answered: list[pb.SubmitJobStreamResponse] = []
    with joined(server) as remote:
        stream = remote.stub.SubmitJobStream(iter(batches), metadata=bearer(remote.token), timeout=PATIENCE_SECONDS)
        answered += [next(stream) for _ in range(5)]
        server.kill()

        again = start_server(database_url=server.database_url, address=server.address)
        with grpc.insecure_channel(again.address) as channel:
            call = type(remote.stub)(channel).SubmitJobStream
            resumed = list(call(iter(batches[5:]), metadata=bearer(remote.token), timeout=PATIENCE_SECONDS))
            repeated = list(call(iter(batches[:5]), metadata=bearer(remote.token), timeout=PATIENCE_SECONDS))

    assert len(resumed) == 45
    assert [[result.jobid for result in reply.results] for reply in repeated] == [
        [result.jobid for result in reply.results] for reply in answered
    ]
    assert count(again.database_url, "jobs_job") == (1000,)
