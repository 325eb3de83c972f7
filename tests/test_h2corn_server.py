"""The server around h2corn: its certificate is renewed, its connections are bounded, and it stops in order."""

import asyncio
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import AsyncMock

import grpc
import pytest
from grpc_health.v1 import health_pb2

from grpc_api.transport.asgi.application import Application
from grpc_api.transport.asgi.h2corn_transport import H2cornTransport
from grpc_api.transport.calls import MethodFactory
from grpc_api.transport.health import HealthChecks
from grpc_api.transport.listening import Listening
from grpc_api.transport.requests import Requests
from grpc_api.transport.shedding import Load
from grpc_api.transport.standard import standard_methods
from grpc_api.transport.unknown import UnknownCalls
from rainbow.client import Client
from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos import rainbow_pb2_grpc as rpc
from tests.support.certificates import Authority, Pair
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.servers import RainbowServer, start_rainbow

pytestmark = pytest.mark.skipif(
    find_spec("h2corn") is None, reason="needs h2corn: pip install --requirement requirements-h2corn.lock"
)

H2CORN = {"RAINBOW_TRANSPORT": "h2corn"}
WATCH = "/grpc.health.v1.Health/Watch"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("in use")


@pytest.fixture(scope="module")
def server(
    new_database: Callable[[], str], pair: Pair, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RainbowServer]:
    running = start_rainbow(
        database_url=new_database(),
        log=tmp_path_factory.mktemp("h2corn") / "log",
        environment={**H2CORN, "RAINBOW_TLS_CERT": str(pair.cert), "RAINBOW_TLS_KEY": str(pair.key)},
        ca_file=str(authority.cert),
    )
    yield running
    running.kill()


def client_of(server: RainbowServer) -> Client:
    return Client(server.address, ca_file=server.ca_file, timeout_seconds=PATIENCE_SECONDS)


def presented(server: RainbowServer) -> str:
    """The serial number of the certificate."""
    host, port = server.address.split(":")
    context = ssl.create_default_context(cafile=server.ca_file)
    context.set_alpn_protocols(["h2"])
    link = socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)
    with context.wrap_socket(link, server_hostname="localhost") as secure:
        return str((secure.getpeercert() or {})["serialNumber"])


def test_calls_in_flight_go_on_while_the_certificate_is_renewed(
    server: RainbowServer, pair: Pair, authority: Authority
) -> None:
    trust = grpc.ssl_channel_credentials(authority.cert.read_bytes())
    with grpc.secure_channel(server.address, trust) as channel:
        stub = rpc.RainbowSchedulerStub(channel)
        new = stub.Register(pb.RegisterRequest(name="keebler", secret=server.registration_secret))
        waiting = stub.RequestJobs.future(
            pb.RequestJobsRequest(cluster="keebler", secret=new.secret, wait_seconds=300), timeout=PATIENCE_SECONDS
        )
        # The server has it once it answers what came after it.
        stub.Serial(pb.Request(), timeout=PATIENCE_SECONDS)
        renewed = authority.issue("renewed")

        pair.replace(renewed)
        wait_until(lambda: presented(server) == renewed.serial)

        job = pb.SubmitJobRequest(cluster="keebler", token=new.token, nodes=1, command="true")
        job_id = stub.SubmitJob(job, timeout=PATIENCE_SECONDS).jobid
        assert list(waiting.result().jobs) == [job_id]


def test_a_certificate_that_h2corn_does_not_take_changes_nothing(
    server: RainbowServer, pair: Pair, authority: Authority
) -> None:
    before, good = presented(server), (pair.cert.read_bytes(), pair.key.read_bytes())
    # Without extensions it is one of version 1 of X.509.
    pair.replace(authority.issue("version 1", names=""))
    wait_until(lambda: "h2corn cannot serve anew" in server.log.read_text())

    assert presented(server) == before
    pair.cert.write_bytes(good[0])
    pair.key.write_bytes(good[1])


def test_a_flood_of_connections_takes_no_files_that_the_server_needs(server: RainbowServer) -> None:
    """Nor does the server end where it cannot accept for want of files."""
    pid = server.process.pid
    files = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    held = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    host, port = server.address.split(":")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (held + 20, files[1]))
    links = [socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) for _ in range(40)]
    wait_until(lambda: "h2corn no longer accepts" in server.log.read_text())
    for link in links:
        link.close()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, files)

    with client_of(server) as client:
        assert client.serial("still there").request_id == "still there"


@asynccontextmanager
async def health_server(*, grace_seconds: int) -> AsyncIterator[tuple[H2cornTransport, str]]:
    """The health service alone, without a database."""
    requests = Requests(admit=AsyncMock())
    factory = MethodFactory(load=Load(most_calls=10), requests=requests)
    application = Application(standard_methods(factory, HealthChecks([])), UnknownCalls())
    listening = Listening(
        address="127.0.0.1:0",
        share_port=False,
        certificate=None,
        client_ca=False,
        client_address="",
        grace_seconds=grace_seconds,
    )
    transport = H2cornTransport(listening, application, log_as_json=False)
    address = transport.listen()
    await transport.start()
    yield transport, address
    requests.close()


@asynccontextmanager
async def watching(address: str) -> AsyncIterator["grpc.aio.UnaryStreamCall[bytes, bytes]"]:
    async with grpc.aio.insecure_channel(address) as channel:
        call: grpc.aio.UnaryStreamCall[bytes, bytes] = channel.unary_stream(WATCH)(b"", wait_for_ready=True)
        assert health_pb2.HealthCheckResponse.FromString(await call.read()).status
        yield call


def test_calls_that_outlast_the_grace_are_told_that_the_server_stops() -> None:
    async def stop_while_watched() -> tuple[bool, grpc.StatusCode, str | None]:
        async with health_server(grace_seconds=0) as (transport, address), watching(address) as call:
            return await transport.stop(), await call.code(), await call.details()

    assert asyncio.run(stop_while_watched()) == (True, grpc.StatusCode.UNAVAILABLE, "the server stops")


def test_a_server_that_stops_takes_no_connection_while_calls_are_in_flight() -> None:
    async def connect_while_it_stops() -> bool:
        async with health_server(grace_seconds=PATIENCE_SECONDS) as (transport, address):
            host, _, port = address.rpartition(":")
            async with watching(address) as call:
                stopping = asyncio.create_task(transport.stop())
                await asyncio.sleep(0)
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection(host, int(port))
                assert not stopping.done()
                call.cancel()
            return await stopping

    assert asyncio.run(connect_while_it_stops())
