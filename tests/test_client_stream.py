"""The client's way with long rows of jobs: batches ahead of their answers, and streams that break."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

import grpc
import pytest

from rainbow import submitting
from rainbow.client import Client
from rainbow.errors import InvalidArgument, RainbowError, Unauthenticated, Unavailable
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import JobSpec
from rainbow.retries import PATIENCE_SECONDS, Patience
from tests.support import rehearsed
from tests.support.ports import free_port
from tests.support.rehearsed import Clock
from tests.support.rows import count as count_rows
from tests.support.servers import RainbowServer

Batch = pb.SubmitJobStreamRequest
Answer = pb.SubmitJobStreamResponse
AHEAD = submitting.WINDOW * submitting.JOBS_PER_BATCH


@dataclass(slots=True)
class Streams:
    """Answers streams as a script has it: how many batches of each, then the code that it ends with.

    `missing` is how many results each answer lacks.
    """

    script: list[tuple[int, grpc.StatusCode | None]]
    asked: list[list[Batch]] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=lambda: count(1))
    missing: int = 0

    def answer(self, batches: Iterator[Batch], context: grpc.ServicerContext) -> Iterator[Answer]:
        self.asked.append(asked := [])
        answers, code = self.script.pop(0)
        for batch in islice(batches, answers):
            asked.append(batch)
            yield Answer(results=[pb.SubmitResult(jobid=next(self.ids)) for _ in batch.jobs[self.missing :]])
        if code is not None:
            context.abort(code, "as rehearsed")


Rehearse = Callable[..., tuple[Streams, Client]]


@pytest.fixture
def rehearse(clock: Clock) -> Iterator[Rehearse]:
    """A server whose streams go as a script has it, and a client that never really sleeps."""
    with ExitStack() as stack:

        def start(*script: tuple[int, grpc.StatusCode | None]) -> tuple[Streams, Client]:
            streams = Streams(script=list(script))
            server = grpc.server(ThreadPoolExecutor(4))
            server.add_generic_rpc_handlers([_handlers(streams)])
            address = f"localhost:{server.add_insecure_port('localhost:0')}"
            server.start()
            stack.callback(server.stop, None)
            return streams, stack.enter_context(Client(address, token="t", retries=clock.retries()))

        yield start


def test_every_job_has_its_result_in_their_order(rehearse: Rehearse) -> None:
    streams, client = rehearse((100, None))

    results = list(client.submit_stream(numbered(1234)))

    assert [result.jobid for result in results] == list(range(1, 1235))
    assert [result.idempotency_key for result in results] == [f"k/{number}" for number in range(1234)]
    assert [len(batch.jobs) for batch in streams.asked[0]] == [500, 500, 234]


def test_jobs_are_read_no_further_ahead_than_the_window(rehearse: Rehearse) -> None:
    _, client = rehearse((100, None))
    read = 0

    def endless() -> Iterator[JobSpec]:
        nonlocal read
        for spec in numbered(10**9):
            read += 1
            yield spec

    results = client.submit_stream(endless())
    for answered in range(1, 10_000):
        next(results)
        assert read <= answered + AHEAD + submitting.JOBS_PER_BATCH
    results.close()


def test_later_batches_are_sent_before_the_first_is_answered(rehearse: Rehearse) -> None:
    _, client = rehearse((100, None))
    read: list[JobSpec] = []

    next(client.submit_stream(spec for spec in numbered(10_000) if read.append(spec) is None))

    assert len(read) >= AHEAD


def test_no_jobs_need_no_server() -> None:
    with Client(f"localhost:{free_port()}", token="t") as client:
        assert list(client.submit_stream([])) == []


def test_large_jobs_make_small_batches(rehearse: Rehearse) -> None:
    streams, client = rehearse((100, None))

    list(client.submit_stream(JobSpec(command="x" * 60_000, environment={"A": "y" * 60_000}) for _ in range(20)))

    assert [len(batch.jobs) for batch in streams.asked[0]] == [8, 8, 4]
    assert all(batch.ByteSize() < submitting.BYTES_PER_BATCH + 100 for batch in streams.asked[0])


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, None])
def test_what_a_broken_stream_left_unanswered_is_sent_again_under_the_same_keys(
    rehearse: Rehearse, clock: Clock, code: grpc.StatusCode | None
) -> None:
    streams, client = rehearse((2, code), (1, code), (100, None))

    results = list(client.submit_stream(JobSpec(command="a") for _ in range(3000)))

    sent = [[job.idempotency_key for batch in stream for job in batch.jobs] for stream in streams.asked]
    assert len(results) == 3000
    assert sent[0] + sent[1] + sent[2] == [result.idempotency_key for result in results]
    assert len(clock.pauses) == 2


def test_a_server_that_ends_every_stream_is_given_up(rehearse: Rehearse, clock: Clock) -> None:
    _, client = rehearse((1, grpc.StatusCode.UNAVAILABLE), *[(0, grpc.StatusCode.UNAVAILABLE)] * 1000)
    results = client.submit_stream(numbered(1000))

    first = list(islice(results, 500))
    with pytest.raises(Unavailable, match="as rehearsed"):
        next(results)

    assert len(first) == 500
    assert PATIENCE_SECONDS - 2 < clock.now <= PATIENCE_SECONDS


def test_a_server_that_was_never_heard_of_is_given_up_at_the_timeout(clock: Clock) -> None:
    client = Client(f"localhost:{free_port()}", token="t", timeout_seconds=10, retries=clock.retries())

    with client, pytest.raises(Unavailable, match="cannot be reached"):
        next(client.submit_stream(numbered(1)))

    assert 5 < clock.now <= 10


def test_a_person_hears_how_long_there_will_be_attempts(clock: Clock) -> None:
    heard: list[float] = []
    patience = Patience(clock.retries(on_pause=lambda failure, seconds: heard.append(seconds)), first_seconds=10)

    patience.rest(Unavailable("away"))
    patience.renew()
    patience.rest(Unavailable("away"))

    assert heard == [10, PATIENCE_SECONDS]


def test_silence_before_a_failure_costs_no_patience(clock: Clock) -> None:
    patience = Patience(clock.retries(), first_seconds=10)
    patience.renew()
    clock.now += 3600

    patience.rest(Unavailable("away"))

    assert clock.now < 3601


def test_a_refused_credential_ends_the_stream(rehearse: Rehearse) -> None:
    _, client = rehearse((0, grpc.StatusCode.UNAUTHENTICATED))

    with pytest.raises(Unauthenticated):
        list(client.submit_stream(numbered(1)))


def test_an_answer_with_too_few_results_is_nonsense(rehearse: Rehearse) -> None:
    streams, client = rehearse((1, None))
    streams.missing = 1

    with pytest.raises(RainbowError, match="does not understand"):
        list(client.submit_stream(numbered(1)))


@pytest.mark.parametrize(
    "spec",
    [JobSpec(command="a\udcff"), JobSpec(command="a", nodes=2**31), JobSpec(command="a" * 2**20)],
    ids=["not UTF-8", "not 32 bits", "too large"],
)
def test_a_job_that_cannot_be_sent_is_told_from_a_failure_of_the_server(rehearse: Rehearse, spec: JobSpec) -> None:
    _, client = rehearse((100, None))

    with pytest.raises(InvalidArgument, match="cannot be sent"):
        list(client.submit_stream([JobSpec(command="a"), spec]))


def test_a_failure_of_the_callers_own_jobs_is_the_callers(rehearse: Rehearse, clock: Clock) -> None:
    _, client = rehearse((100, None))

    def failing() -> Iterator[JobSpec]:
        yield from numbered(600)
        raise Unavailable("of the caller's own")

    with pytest.raises(Unavailable, match="the caller's own"):
        list(client.submit_stream(failing()))

    assert clock.pauses == []


def test_a_server_killed_in_the_middle_has_each_job_once_in_the_end(start_server: Callable[..., RainbowServer]) -> None:
    servers = [start_server()]
    with Client(servers[0].address) as stranger:
        new = stranger.register("keebler", registration_secret=servers[0].registration_secret)

    def killing() -> Iterator[JobSpec]:
        for number, spec in enumerate(numbered(12_000)):
            if number == 7000:
                servers[0].kill()
                servers.append(start_server(database_url=servers[0].database_url, address=servers[0].address))
            yield spec

    with Client(servers[0].address, cluster="keebler", token=new.token) as client:
        results = list(client.submit_stream(killing()))

    assert len({result.jobid for result in results}) == len(results) == 12_000
    assert count_rows(servers[0].database_url, "jobs_job") == (12_000,)


def numbered(jobs: int) -> Iterator[JobSpec]:
    return (JobSpec(command=f"echo {number}", idempotency_key=f"k/{number}") for number in range(jobs))


def _handlers(streams: Streams) -> Any:
    handler = grpc.stream_stream_rpc_method_handler(
        streams.answer, request_deserializer=Batch.FromString, response_serializer=Answer.SerializeToString
    )
    return grpc.method_handlers_generic_handler(rehearsed.SERVICE.full_name, {"SubmitJobStream": handler})
