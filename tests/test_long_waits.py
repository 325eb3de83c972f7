"""Calls that wait for long, with the keepalive of both sides in fast motion."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from grpc_api.transport.grpcio import OPTIONS
from rainbow import connection
from rainbow.client import Client
from rainbow.connection import CHANNEL_OPTIONS
from rainbow.errors import Unavailable
from rainbow.records import JobSpec, JobState
from rainbow.retries import Retries
from tests.support.patience import PATIENCE_SECONDS
from tests.support.proxy import Proxy, proxy_before
from tests.support.servers import RainbowServer, manage_with
from tests.support.wire import eventually, new_name

Options = Sequence[tuple[str, int]]

INTERVALS = ("grpc.keepalive_time_ms", "grpc.http2.min_ping_interval_without_data_ms")
TIMEOUTS = ("grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms")
# What gRPC leaves a ping unless it is told otherwise.
OWN_TIMEOUT_SECONDS = 60
HURRIED = "from grpc_api.transport import grpcio; grpcio.OPTIONS[:] = {options!r}"
# gRPC ends a connection at the fourth that comes too soon.
PINGS = 8
# grpc-go lets no client ping more often.
MOST_IMPATIENT: Options = (("grpc.keepalive_time_ms", 10_000), ("grpc.http2.max_pings_without_data", 0))

PREFACE_BYTES, HEAD_BYTES = 24, 9
PING, ACKNOWLEDGED = 6, 1


class Pings:
    """Counts the pings in what a client sends over one connection (RFC 9113, sections 4.1 and 6.7)."""

    def __init__(self) -> None:
        self.count = 0
        self._left = PREFACE_BYTES
        self._head = b""

    def __call__(self, data: bytes, answers: bool) -> None:
        for byte in b"" if answers else data:
            if self._left:
                self._left -= 1
                continue
            self._head += bytes([byte])
            if len(self._head) == HEAD_BYTES:
                self.count += self._head[3] == PING and not self._head[4] & ACKNOWLEDGED
                self._left, self._head = int.from_bytes(self._head[:3]), b""


def hurried(options: Options, *, names: Sequence[str], factor: int) -> Options:
    """Timeouts that are none of these are as long as a machine may stand still."""
    long = dict.fromkeys(TIMEOUTS, PATIENCE_SECONDS * 1_000)
    short = {name: value // factor for name, value in options if name in names}
    return [*{**dict(options), **long, **short}.items()]


StartHurried = Callable[..., RainbowServer]


@pytest.fixture
def start_hurried(start_server: Callable[..., RainbowServer]) -> StartHurried:
    def start(**how: object) -> RainbowServer:
        return start_server(manage=manage_with(HURRIED.format(options=hurried(OPTIONS, **how))))

    return start


# gRPC leaves a second between two pings, whatever it is told.
@pytest.fixture(params=[(CHANNEL_OPTIONS, 30), (MOST_IMPATIENT, 10)], ids=["our client", "the most impatient client"])
def at_work(
    request: pytest.FixtureRequest, start_hurried: StartHurried, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Client, Proxy, Pings]]:
    """A client of a cluster whose calls go through a proxy, and whose failures fail the test."""
    options, factor = request.param
    monkeypatch.setattr(connection, "CHANNEL_OPTIONS", hurried(options, names=INTERVALS, factor=factor))
    failures: list[Unavailable] = []
    retries = Retries(on_pause=lambda failure, seconds: failures.append(failure))
    server, pings = start_hurried(names=INTERVALS, factor=factor), Pings()
    with proxy_before(server.address, tap=pings) as proxy, client_of(server, proxy.address, retries=retries) as client:
        yield client, proxy, pings
    assert (failures, proxy.connections) == ([], 1)


def client_of(server: RainbowServer, address: str, **options: Retries) -> Client:
    with Client(server.address) as stranger:
        new = stranger.register(new_name(), registration_secret=server.registration_secret)
    return Client(address, cluster=new.cluster, token=new.token, secret=new.secret, **options)


def test_calls_wait_to_their_end_on_one_connection(at_work: tuple[Client, Proxy, Pings]) -> None:
    client, proxy, pings = at_work
    watched = client.submit_job(JobSpec(command="hostname")).jobid
    began = pings.count

    with ThreadPoolExecutor(2) as pool:
        states = pool.submit(lambda: [job.state for job in client.watch_jobs([watched])])
        waiting = pool.submit(client.request_jobs, wait_seconds=300, labels={"for": "later"})
        eventually(lambda: pings.count >= began + PINGS or proxy.connections > 1)
        client.cancel_jobs([watched])
        later = client.submit_job(JobSpec(command="hostname", labels={"for": "later"})).jobid

    assert states.result() == [JobState.QUEUED, JobState.CANCELLED]
    assert [job.id for job in waiting.result().jobs] == [later]


def test_the_server_notices_that_a_client_is_gone_without_a_word(start_hurried: StartHurried) -> None:
    server = start_hurried(names=[*INTERVALS, *TIMEOUTS], factor=15)
    with proxy_before(server.address) as proxy, client_of(server, proxy.address) as client:
        client.serial()
        waiting = client.begin_request(max_jobs=1, wait_seconds=300, max_nodes=0, max_tasks=0)

        proxy.swallow()

        eventually(lambda: not proxy.is_connected)
        waiting.cancel()


def test_a_client_notices_that_the_server_is_gone_without_a_word(
    server: RainbowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = hurried(CHANNEL_OPTIONS, names=[*INTERVALS, *TIMEOUTS], factor=15)
    monkeypatch.setattr(connection, "CHANNEL_OPTIONS", hasty)
    pings = Pings()
    with proxy_before(server.address, tap=pings) as proxy, client_of(server, proxy.address) as client:
        waiting = client.begin_request(max_jobs=1, wait_seconds=300, max_nodes=0, max_tasks=0)
        # A server that does not answer for a second, on a busy machine, is gone as well.
        eventually(lambda: pings.count >= 2 or waiting.done())

        proxy.swallow()
        swallowed_at = time.monotonic()

        eventually(waiting.done)
        with pytest.raises(Unavailable):
            waiting.result()
        assert time.monotonic() - swallowed_at < OWN_TIMEOUT_SECONDS
