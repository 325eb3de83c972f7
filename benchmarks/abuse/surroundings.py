"""Cases beside the gRPC port: a database that does not answer, and web clients that stall."""

import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.request import urlopen

from benchmarks.abuse.honest import Waited, honest_callers
from benchmarks.abuse.memory import memory_of, peak_of
from benchmarks.abuse.outcome import Goal, Outcome
from benchmarks.bench import Bench, Plan, open_bench
from tests.support.certificates import make_certificate
from tests.support.processes import descendants
from tests.support.raw_http import HALF_BODY, HALF_HEAD, connect
from tests.support.servers import RainbowServer, start_rainbow

_CLIENTS = 40
_HANDSHAKES = 300
_AWAY_SECONDS = 6.0
_PATIENCE_SECONDS = 30.0


def database_away(_: Bench) -> Outcome:
    """Measures how long callers wait for a refusal."""
    plan = Plan(seconds=_AWAY_SECONDS, rounds=1, in_flight=(), growth=0)
    with open_bench(plan=plan, database="postgresql", folder=None) as bench, bench.servers_stopped():
        server = bench.start_server()
        before = memory_of([server.pid])
        with honest_callers(server.address, server.registration_secret) as call_for, peak_of([server.pid]) as peak:
            call_for(1.0)
            with _stopped(server.database_pid or 0):
                told = call_for(_AWAY_SECONDS)
        # Refusals are quick once the server knows: the longest of each of the two callers is what it waited first.
        longest = sorted(told.refused)[-2:]
        waited = Waited(seconds=longest, failures=[code for code in told.failures if code != "UNAVAILABLE"])
        return Outcome(
            case="PostgreSQL stopped; longest wait for UNAVAILABLE",
            waited=waited,
            before=before,
            peak=peak[0],
            after=memory_of([server.pid]),
            goal=Goal(p99_ms=2_000),
        )


def web_clients_that_stall(bench: Bench) -> Outcome:
    log = bench.folder / "serve.log"
    server = start_rainbow(database_url=bench.databases.new(), log=log, with_web=True)
    pids = [server.process.pid, *descendants(server.process.pid)]
    try:
        before = memory_of(pids)
        with ExitStack() as links, peak_of(pids) as peak:
            for half in [HALF_BODY, HALF_HEAD] * _CLIENTS:
                links.enter_context(connect(server)).sendall(half)
            waited = _healthz(server, bench.plan.seconds)
        return Outcome(
            case=f"{_CLIENTS} bodies and {_CLIENTS} heads, half sent; /healthz",
            waited=waited,
            before=before,
            peak=peak[0],
            after=memory_of(pids),
            goal=Goal(mib=600),
        )
    finally:
        server.stop()


def handshakes_half_done(bench: Bench) -> Outcome:
    """Connections to a server with TLS on which nothing, or only half of a ClientHello, ever comes."""
    folder = bench.folder / "tls"
    folder.mkdir()
    cert, key = make_certificate(folder)
    settings = {"RAINBOW_TLS_CERT": str(cert), "RAINBOW_TLS_KEY": str(key)}
    server = start_rainbow(database_url=bench.databases.new(), log=folder / "log", environment=settings)
    pids, secret = [server.process.pid], server.registration_secret
    try:
        before = memory_of(pids)
        with ExitStack() as links, peak_of(pids) as peak:
            for number in range(_HANDSHAKES):
                link = links.enter_context(_connected(server.address))
                link.sendall(_client_hello()[:100] if number % 2 else b"")
            with honest_callers(server.address, secret, ca_file=str(cert)) as call_for:
                waited = call_for(bench.plan.seconds)
        return Outcome(
            case=f"{_HANDSHAKES} handshakes of TLS, half done",
            waited=waited,
            before=before,
            peak=peak[0],
            after=memory_of(pids),
        )
    finally:
        server.stop()


OTHER_CASES: dict[str, Callable[[Bench], Outcome]] = {
    "the database away": database_away,
    "web clients that stall": web_clients_that_stall,
    "handshakes of TLS, half done": handshakes_half_done,
}


def _healthz(server: RainbowServer, seconds: float) -> Waited:
    waited, until = Waited(), time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        try:
            urlopen(f"{server.web}/healthz", timeout=_PATIENCE_SECONDS).close()
        except OSError as error:
            waited.failures.append(type(error).__name__)
        else:
            waited.seconds.append(time.perf_counter() - began)
        time.sleep(0.02)
    return waited


def _connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=_PATIENCE_SECONDS)


def _client_hello() -> bytes:
    sent = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost").do_handshake()
    return sent.read()


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    processes = [pid, *descendants(pid)]
    for each in processes:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in processes:
            os.kill(each, signal.SIGCONT)
