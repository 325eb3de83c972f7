"""The essential conversation over each transport. `pytest --transport h2corn` runs any other test on the second."""

import queue
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grpc
import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.conversation import Exchange, Line
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.servers import RainbowServer, start_rainbow
from tests.support.wire import SERVICE, Refusal, Remote, joined, refusal_of
from tests.test_recorded_conversation import REGISTRATION_SECRET, exchanges

MESSAGE_LIMIT = 4 * 1024 * 1024
WITHOUT_H2CORN = pytest.mark.skipif(
    find_spec("h2corn") is None, reason="needs h2corn: pip install --requirement requirements-h2corn.lock"
)
TRANSPORTS = ["grpcio", pytest.param("h2corn", marks=WITHOUT_H2CORN)]

Said = list[Exchange]


@pytest.fixture(scope="module", params=TRANSPORTS)
def conversation(
    request: pytest.FixtureRequest, new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RainbowServer, Said]]:
    """A server, and what it answered to the recorded requests while its database was empty."""
    settings = {"RAINBOW_TRANSPORT": request.param, "RAINBOW_REGISTRATION_SECRET": REGISTRATION_SECRET}
    log: Path = tmp_path_factory.mktemp("transport") / "log"
    server = start_rainbow(database_url=new_database(), log=log, environment=settings)
    with grpc.insecure_channel(server.address) as channel:
        line = Line(channel)
        said = [line.say(recorded.method, bytes.fromhex(recorded.request)) for recorded in exchanges()]
    yield server, said
    server.kill()


@pytest.fixture
def place(conversation: tuple[RainbowServer, Said]) -> RainbowServer:
    return conversation[0]


@pytest.fixture
def member(place: RainbowServer) -> Iterator[Remote]:
    with joined(place) as remote:
        yield remote


def waiting(remote: Remote) -> pb.RequestJobsRequest:
    return pb.RequestJobsRequest(cluster=remote.name, secret=remote.secret, wait_seconds=300)


def lines_of(place: RainbowServer) -> list[str]:
    return place.log.read_text().splitlines()


def test_the_recorded_conversation_is_repeated_byte_for_byte(conversation: tuple[RainbowServer, Said]) -> None:
    assert conversation[1] == exchanges()


def test_a_refusal_has_its_code_text_field_and_request_id(member: Remote) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        member.stub.SubmitJob(
            member.submission(nodes=0), metadata=[("x-request-id", "mine-1"), ("other-bin", b"\0\xff")]
        )

    error: Any = caught.value
    trailers = dict(error.trailing_metadata())
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith("nodes: must be ")
    assert (trailers["rainbow-field"], trailers["x-request-id"]) == ("nodes", "mine-1")


def test_a_call_without_a_message_is_told_what_is_missing(place: RainbowServer) -> None:
    with grpc.insecure_channel(place.address) as channel:
        refusal = refusal_of(channel.stream_unary(f"{SERVICE}/SubmitJob"), iter(()))

    text = "SubmitJob takes a request, and the call brought none"
    assert refusal == Refusal(code=grpc.StatusCode.INVALID_ARGUMENT, text=text, field="")


@pytest.mark.parametrize("path", ["/a.B/C", f"{SERVICE}/Seria%6C", f"{SERVICE}/Serial?a=b", f"{SERVICE}/Serial/"])
def test_a_call_that_the_server_does_not_have_is_told_so(place: RainbowServer, path: str) -> None:
    with grpc.insecure_channel(place.address) as channel:
        refusal = refusal_of(channel.unary_unary(path), b"")

    assert (refusal.code, "has no call" in refusal.text) == (grpc.StatusCode.UNIMPLEMENTED, True)


def test_metadata_of_half_a_kilobyte_is_taken_and_of_twenty_refused(member: Remote) -> None:
    some, many = [("a", "x" * 500)], [(f"a{number}", "x" * 1_000) for number in range(20)]

    assert member.stub.Serial(pb.Request(), metadata=some, timeout=PATIENCE_SECONDS).request_id == ""
    with pytest.raises(grpc.RpcError):
        member.stub.Serial(pb.Request(), metadata=many, timeout=PATIENCE_SECONDS)
    assert member.submit().jobid


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_compressed_request_is_not_unpacked(member: Remote, compression: grpc.Compression) -> None:
    bomb = member.submission("x" * (MESSAGE_LIMIT - 1024))

    refusal = refusal_of(member.stub.SubmitJob, bomb, compression=compression)

    assert refusal.code == grpc.StatusCode.UNIMPLEMENTED


def test_a_message_that_is_too_large_is_refused_and_the_connection_goes_on(member: Remote) -> None:
    refusal = refusal_of(member.stub.SubmitJob, member.submission("x" * (MESSAGE_LIMIT + 1)))

    assert refusal.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert member.submit().jobid


def test_a_large_message_and_its_large_answer_come_whole(member: Remote) -> None:
    jobs = [pb.JobSpec(nodes=1, command="x" * 60_000) for _ in range(50)]

    assert len(member.submit_many(*jobs).results) == 50
    assert len(member.request().jobs) == 50


def test_a_call_that_is_given_up_while_it_waits_ends(member: Remote, place: RainbowServer) -> None:
    call = member.stub.RequestJobs.future(waiting(member))
    # The server has it once it answers what came after it.
    member.stub.Serial(pb.Request(), timeout=PATIENCE_SECONDS)
    call.cancel()

    wait_until(lambda: is_cancelled_in(place, "RequestJobs"))


def test_a_stream_that_is_given_up_ends(member: Remote, place: RainbowServer) -> None:
    job_id = member.submit().jobid
    watched = member.stub.WatchJobs(pb.WatchJobsRequest(jobids=[job_id]), metadata=member.by_token)
    next(watched)
    watched.cancel()

    wait_until(lambda: is_cancelled_in(place, "WatchJobs"))


def is_cancelled_in(place: RainbowServer, call: str) -> bool:
    return any(f" {call} " in line and "code=CANCELLED" in line for line in lines_of(place))


def test_a_stream_goes_both_ways(member: Remote) -> None:
    requests: queue.Queue[pb.SubmitJobsRequest | None] = queue.Queue()
    stream = member.stub.SubmitJobStream(iter(requests.get, None), metadata=member.by_token, timeout=PATIENCE_SECONDS)
    for name in ("a", "b"):
        requests.put(pb.SubmitJobsRequest(cluster=member.name, jobs=[pb.JobSpec(nodes=1, command="true", name=name)]))
        assert next(stream).results[0].jobid
    requests.put(None)

    assert list(stream) == []


def test_a_client_of_the_original_protocol_gets_no_extension_fields(member: Remote, place: RainbowServer) -> None:
    request = pb.RequestJobsRequest(cluster=member.name, secret=member.secret)
    member.submit()
    with grpc.insecure_channel(place.address) as channel:
        call = channel.unary_unary(f"{SERVICE}/RequestJobs", response_deserializer=pb.RequestJobsResponse.FromString)
        answer = call(request.SerializeToString(), timeout=PATIENCE_SECONDS)

    assert answer.jobs
    assert all(field.number < 20 for field, _ in answer.ListFields())


@WITHOUT_H2CORN
def test_two_processes_answer_the_calls_in_flight_before_they_stop(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server(arguments=["--workers", "2"], environment={"RAINBOW_TRANSPORT": "h2corn"})
    with joined(server) as remote:
        call = remote.stub.RequestJobs.future(waiting(remote), timeout=PATIENCE_SECONDS)
        remote.stub.Serial(pb.Request(), timeout=PATIENCE_SECONDS)

        code = server.stop()

        assert call.result().jobs == {}
    assert code == 0
