"""More calls than usual: many wait without harm, and more than the server takes are refused in words."""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from benchmarks import frames
from benchmarks.frames import Kind
from grpc_api.transport.health import MAX_WATCHES
from rainbow.client import Client
from rainbow.errors import DeadlineExceeded
from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos.rainbow_pb2_grpc import RainbowSchedulerStub
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.raw import raw_connection
from tests.support.servers import RainbowServer
from tests.support.wire import SERVICE, Remote, connected, joined, refusal_of

REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
MANY = 2_000
CONNECTIONS = 25
FEW = 3
CALLS_OF_A_CONNECTION = 100
# Why a stream is reset (RFC 9113, section 7).
CANCEL, REFUSED = (8).to_bytes(4), (7).to_bytes(4)


@pytest.fixture
def small_server(start_server: Callable[..., RainbowServer]) -> RainbowServer:
    """One that answers three calls at a time."""
    return start_server(environment={"RAINBOW_CALLS": str(FEW)})


def waiting(cluster: Remote, **fields: object) -> pb.RequestJobsRequest:
    return pb.RequestJobsRequest(cluster=cluster.name, secret=cluster.secret, wait_seconds=300, **fields)


@pytest.mark.usefixtures("grpcio_only")
def test_clients_of_one_process_have_a_connection_each(remote: Remote, server: RainbowServer) -> None:
    def is_full(client: Client) -> bool:
        try:
            client.serial()
        except DeadlineExceeded:
            return True
        return False

    with (
        Client(server.address, cluster=remote.name, secret=remote.secret, timeout_seconds=0.5) as busy,
        Client(server.address, cluster=remote.name, timeout_seconds=PATIENCE_SECONDS) as other,
    ):
        calls = [
            busy.begin_request(max_jobs=1, wait_seconds=300, max_nodes=0, max_tasks=0)
            for _ in range(CALLS_OF_A_CONNECTION)
        ]
        wait_until(lambda: is_full(busy))

        assert other.serial("one").request_id == "one"
        assert not any(call.done() for call in calls)


def test_two_thousand_calls_that_come_at_once_wait_and_none_is_dropped(remote: Remote, server: RainbowServer) -> None:
    async def outcome(call: "grpc.aio.UnaryUnaryCall[object, object]") -> str:
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    async def all_wait() -> Counter[str]:
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [grpc.aio.insecure_channel(server.address, options=options) for _ in range(CONNECTIONS)]
        stubs = [RainbowSchedulerStub(channel) for channel in channels]
        calls = [
            stubs[place % CONNECTIONS].RequestJobs(waiting(remote), timeout=PATIENCE_SECONDS) for place in range(MANY)
        ]
        outcomes = asyncio.gather(*map(outcome, calls))
        # All of them have come when the last one of each connection has.
        for stub in stubs:
            await stub.Serial(pb.Request(), timeout=PATIENCE_SECONDS)
        await stubs[0].SubmitJob(remote.submission(), timeout=PATIENCE_SECONDS)
        return Counter(await outcomes)

    assert asyncio.run(all_wait()) == {"OK": MANY}


def test_a_connection_with_more_calls_than_it_may_have_at_a_time_keeps_the_rest_until_others_end(
    server: RainbowServer,
) -> None:
    async def calls_one_after_the_other(stub: RainbowSchedulerStub) -> None:
        for _ in range(FEW):
            await stub.Serial(pb.Request(), timeout=PATIENCE_SECONDS)

    async def many_at_once() -> None:
        async with grpc.aio.insecure_channel(server.address, options=[("grpc.enable_retries", 0)]) as channel:
            await asyncio.gather(*[calls_one_after_the_other(RainbowSchedulerStub(channel)) for _ in range(MANY)])

    asyncio.run(many_at_once())


@pytest.mark.usefixtures("grpcio_only")
def test_calls_that_are_reset_at_once_do_not_pile_up(server: RainbowServer) -> None:
    with raw_connection(server.address) as stranger, joined(server) as alpha:
        received = stranger.frames()
        assert next(received).kind == Kind.SETTINGS
        stranger.send(frames.frame(Kind.SETTINGS, frames.ACK, 0))
        head = frames.headers(server.address, f"{SERVICE}/Serial")
        stranger.send(
            *[
                frames.frame(Kind.HEADERS, frames.END_HEADERS, stream, head)
                + frames.frame(Kind.RST_STREAM, 0, stream, CANCEL)
                for stream in range(1, 2 * MANY, 2)
            ]
        )

        assert any(frame.kind == Kind.RST_STREAM and frame.payload == REFUSED for frame in received)
        assert alpha.submit().jobid


def test_a_call_too_many_is_refused_with_a_time_to_come_again_and_the_others_go_on(small_server: RainbowServer) -> None:
    with joined(small_server) as remote:
        held = [remote.stub.RequestJobs.future(waiting(remote), timeout=PATIENCE_SECONDS) for _ in range(FEW)]
        with pytest.raises(grpc.RpcError) as refused:
            # They come one after the other, and each takes a place.
            wait_until(lambda: not remote.stub.Serial(pb.Request(), timeout=PATIENCE_SECONDS))
        held[0].cancel()
        wait_until(lambda: not refuses(remote))
        job_id = remote.submit().jobid

        assert [list(call.result(PATIENCE_SECONDS).jobids) for call in held[1:]] == [[job_id]] * 2
        trailers = dict(refused.value.trailing_metadata())
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert refused.value.details() == "the server has 3 calls to answer; try again later"
        assert trailers["grpc-retry-pushback-ms"] == "1000"


def refuses(cluster: Remote) -> bool:
    try:
        cluster.stub.Serial(pb.Request(), timeout=PATIENCE_SECONDS)
    except grpc.RpcError:
        return True
    return False


@pytest.mark.usefixtures("grpcio_only")
def test_a_call_too_many_is_refused_before_its_message_is_there(small_server: RainbowServer) -> None:
    with joined(small_server) as remote, raw_connection(small_server.address) as stranger:
        held = [remote.stub.RequestJobs.future(waiting(remote), timeout=PATIENCE_SECONDS) for _ in range(FEW)]
        wait_until(lambda: refuses(remote))

        stranger.begin(1, f"{SERVICE}/SubmitJobs")

        assert b"calls to answer" in stranger.end_of(1).payload
        for call in held:
            call.cancel()


class Silent:
    """These requests; the next does not come until the test is over."""

    def __init__(self, *requests: bytes) -> None:
        self._requests = iter(requests)
        self._over = threading.Event()

    def __iter__(self) -> "Silent":
        return self

    def __next__(self) -> bytes:
        for request in self._requests:
            return request
        self._over.wait(PATIENCE_SECONDS)
        raise StopIteration

    def close(self) -> None:
        self._over.set()


@pytest.mark.parametrize(
    ("path", "requests"),
    [
        (f"{SERVICE}/SubmitJob", []),
        (f"{SERVICE}/Stream", [pb.Request().SerializeToString()]),
        (REFLECTION, [ServerReflectionRequest(list_services="").SerializeToString()]),
    ],
    ids=["SubmitJob", "Stream", "reflection"],
)
def test_a_stranger_who_occupies_all_calls_keeps_nobody_out(
    small_server: RainbowServer, path: str, requests: list[bytes]
) -> None:
    with joined(small_server) as remote, grpc.insecure_channel(small_server.address) as stranger, ExitStack() as stack:
        # Calls of an earlier test may not have ended yet.
        wait_until(lambda: not refuses(remote))
        silent = [stack.enter_context(closing(Silent(*requests))) for _ in range(FEW)]
        calls = [stranger.stream_stream(path)(each) for each in silent]
        # A call is over for its client once the client has read all replies.
        assert all(next(call) for call in calls for _ in requests)

        wait_until(lambda: not refuses(remote) and any(call.done() for call in calls))

        # The one that ended for others, or one that came while an answered call had not yet left its place.
        [ended] = [call for call in calls if call.done()]
        assert ended.code() == grpc.StatusCode.UNAVAILABLE
        assert "calls to answer" in ended.details()
        assert dict(ended.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"
    assert "Traceback" not in small_server.log.read_text()


def test_of_many_watches_of_the_servers_health_the_oldest_ends(server: RainbowServer) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(connection(server)) for _ in range(2)]
        watches = [HealthStub(connections[n % 2]).Watch(HealthCheckRequest()) for n in range(MAX_WATCHES)]
        answers = [next(watch).status for watch in watches]

        latest = HealthStub(connections[0]).Watch(HealthCheckRequest())

        assert next(latest).status == HealthCheckResponse.SERVING
        assert answers == [HealthCheckResponse.SERVING] * MAX_WATCHES
        wait_until(lambda: any(watch.done() for watch in watches))
        assert [watch.code() for watch in watches if watch.done()] == [grpc.StatusCode.OK]
        assert not latest.done()


def connection(server: RainbowServer) -> grpc.Channel:
    return grpc.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)])


def test_refusals_under_load_share_a_line_of_log(small_server: RainbowServer) -> None:
    with joined(small_server) as remote:
        held = [remote.stub.RequestJobs.future(waiting(remote), timeout=PATIENCE_SECONDS) for _ in range(FEW)]
        wait_until(lambda: refuses(remote))
        assert all(refuses(remote) for _ in range(50))
        for call in held:
            call.cancel()
    small_server.stop()

    lines = re.findall(r"WARNING overloaded, .*", small_server.log.read_text())
    assert lines == ["WARNING overloaded, refusing calls: the server has 3 calls to answer; try again later calls=3"]


# Calls that nobody knows


@pytest.mark.parametrize("path", [f"{SERVICE}/ForgetJobs", "/some.Other/Call"])
def test_a_call_of_another_version_is_told_so(server: RainbowServer, path: str) -> None:
    with grpc.insecure_channel(server.address) as channel:
        refusal = refusal_of(channel.unary_unary(path), b"")

    assert refusal.code == grpc.StatusCode.UNIMPLEMENTED
    assert refusal.text == f"this server has no call {path}; its client may be of another version"


@pytest.mark.usefixtures("grpcio_only")
def test_calls_that_nobody_knows_leave_a_few_lines_and_nothing_of_theirs(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    with grpc.insecure_channel(server.address) as channel:
        refusals = [refusal_of(channel.unary_unary(path), b"") for path in ["/a.B/C", "/x y\x1b[31m"] * 20]
    server.stop()

    lines = [line.partition(" WARNING ")[2] for line in server.log.read_text().splitlines() if "no call" in line]
    assert {refusal.code for refusal in refusals} == {grpc.StatusCode.UNIMPLEMENTED}
    assert len(lines) == 10
    assert lines[0].startswith("there is no call /a.B/C peer=ipv4:127.0.0.1:")
    assert lines[1].startswith("there is no call of such a name peer=")


# Calls that are given up


def test_a_call_that_is_given_up_leaves_a_line(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server()
    with joined(server) as remote, connected(server.address) as other:
        job_id = remote.submit().jobid
        watched = remote.stub.WatchJobs(pb.WatchJobsRequest(jobids=[job_id]), metadata=remote.by_token)
        next(watched)
        watched.cancel()
        stream = other.Stream(iter([pb.Request()]))
        next(stream)
        waits = remote.stub.RequestJobs.future(waiting(remote, labels={"a": "b"}))
        wait_until(lambda: "WatchJobs" in server.log.read_text())
        # The server has it once it answers what came after it.
        remote.stub.Serial(pb.Request(), timeout=PATIENCE_SECONDS)
        waits.cancel()
        wait_until(lambda: "RequestJobs" in server.log.read_text())
    server.stop()

    log = server.log.read_text()
    assert f"WatchJobs cluster={remote.name} code=CANCELLED ms=" in log
    assert re.search(r"INFO RequestJobs.* code=CANCELLED ms=", log)
    assert "Traceback" not in log
