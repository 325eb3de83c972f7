"""The metrics of a running server: of all its processes, for those with the token, whatever others do."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos import rainbow_pb2_grpc as rpc
from tests.support.metrics import Scraped, scrape
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.processes import command_of, descendants
from tests.support.servers import RainbowServer, start_rainbow
from tests.support.web import Guest, get, post, registered
from tests.support.wire import connected, eventually

TOKEN = "a-token-for-the-tests-only"
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
# Two for gRPC, one for HTTP, and that of the metrics.
PROCESSES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    server: RainbowServer
    address: str
    token_file: Path

    def scrape(self) -> Scraped:
        scraped = scrape(self.address, token=self.token_file.read_text().strip())
        assert scraped.status == 200, scraped.text
        return scraped

    def scrape_all(self) -> Scraped:
        """Of all processes and of the database: what is slow to answer is left out of a scrape."""
        found: list[Scraped] = []

        def is_whole() -> bool:
            found.append(self.scrape())
            up = found[-1].total("rainbow_process_up"), found[-1].total("rainbow_database_up")
            return up == (PROCESSES, 1)

        eventually(is_whole)
        return found[-1]

    def pid_of(self, process: str) -> int:
        return next(pid for pid in descendants(self.server.process.pid) if f"/{process}\0" in command_of(pid))


@pytest.fixture(scope="module")
def measured(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """Two processes for gRPC and one for HTTP."""
    folder = tmp_path_factory.mktemp("measured")
    token_file = folder / "token"
    token_file.write_text(f"{TOKEN}\n")
    address = f"127.0.0.1:{free_port()}"
    environment = {
        "RAINBOW_METRICS_ADDRESS": address,
        "RAINBOW_METRICS_TOKEN_FILE": str(token_file),
        "RAINBOW_WORKERS": "2",
    }
    server = start_rainbow(database_url=new_database(), log=folder / "log", with_web=True, environment=environment)
    measured = Measured(server=server, address=address, token_file=token_file)
    try:
        measured.scrape_all()
        yield measured
    finally:
        server.stop()


@pytest.fixture
def guest(measured: Measured) -> Guest:
    return registered(measured.server)


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], f"{TOKEN}x", "caf\xe9-and-some-more-bytes"])
def test_nobody_reads_the_metrics_without_the_token(measured: Measured, token: str) -> None:
    refused = scrape(measured.address, token=token)

    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert "rainbow_" not in refused.text


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("POST", "/metrics", 405)])
def test_there_is_nothing_but_the_metrics(measured: Measured, method: str, path: str, status: int) -> None:
    assert scrape(measured.address, token=TOKEN, method=method, path=path).status == status


def test_the_token_can_be_replaced_while_the_server_runs(measured: Measured) -> None:
    measured.token_file.write_text("another-token-of-the-tests\n")
    try:
        old, new = scrape(measured.address, token=TOKEN), scrape(measured.address, token="another-token-of-the-tests")
    finally:
        measured.token_file.write_text(f"{TOKEN}\n")

    assert (old.status, new.status) == (401, 200)


def test_calls_are_counted_by_method_and_code_in_each_process(measured: Measured) -> None:
    name, ok = "rainbow_grpc_calls_total", {"method": "Serial", "code": "OK"}
    before = measured.scrape_all().total(name, **ok)

    for _ in range(40):
        with grpc.insecure_channel(measured.server.address, options=OWN_CONNECTION) as channel:
            rpc.RainbowSchedulerStub(channel).Serial(pb.Request(), timeout=PATIENCE_SECONDS)

    eventually(lambda: measured.scrape().total(name, **ok) == before + 40)
    scraped = measured.scrape_all()
    assert {labels["process"] for labels, _ in scraped.samples(name, **ok)} == {"grpc-1", "grpc-2"}
    assert scraped.total("rainbow_grpc_call_seconds_count", method="Serial") == before + 40


def test_what_clients_make_up_becomes_no_label(measured: Measured) -> None:
    with connected(measured.server.address) as _, grpc.insecure_channel(measured.server.address) as channel:
        with pytest.raises(grpc.RpcError):
            channel.unary_unary("/made.up/Method")(b"", timeout=PATIENCE_SECONDS)
        get(measured.server, "/made-up/path")
        get(measured.server, "/api/v1/made-up-cluster-path/x")
        post(measured.server, "/api/v1/clusters/made-up-cluster/accept", {"ids": [1]}, bearer="made-up-token")

    eventually(lambda: measured.scrape().total("rainbow_grpc_unknown_calls_total") >= 1)
    assert measured.scrape_all().total("rainbow_http_requests_total", route="(none)", status="4xx") >= 1
    assert "made-up" not in measured.scrape().text
    assert "made.up" not in measured.scrape().text


def test_http_requests_are_counted_by_route(measured: Measured, guest: Guest) -> None:
    get(measured.server, "/api/v1/jobs/4711", bearer=guest.token)

    labels = {"method": "GET", "route": "api/v1/jobs/<int:job>", "status": "4xx"}
    eventually(lambda: measured.scrape().total("rainbow_http_requests_total", **labels) == 1)


def test_a_jobs_way_is_counted(measured: Measured, guest: Guest) -> None:
    mine = {"cluster": guest.name}
    job_id = guest.submit_over_grpc("hostname")
    get(measured.server, f"/api/v1/clusters/{guest.name}/queue", bearer=guest.secret)
    taken = post(
        measured.server, f"/api/v1/clusters/{guest.name}/accept", {"ids": [job_id, 999_999]}, bearer=guest.secret
    )
    assert taken.status == 200

    def jobs(state: str) -> float:
        return measured.scrape_all().total("rainbow_jobs", state=state, **mine)

    eventually(lambda: jobs("accepted") == 1)
    scraped = measured.scrape_all()
    assert jobs("queued") == 0
    assert scraped.total("rainbow_jobs_submitted_total", **mine) == 1
    assert scraped.total("rainbow_jobs_offered_total", **mine) == 1
    assert scraped.total("rainbow_jobs_accepted_total", **mine) == 1
    assert scraped.total("rainbow_jobs_refused_total", reason="not_found", **mine) == 1
    assert scraped.total("rainbow_cluster_last_asked_timestamp_seconds", **mine) > 0
    assert scraped.total("rainbow_group_commit_calls_count", verb="submit") >= 1


def test_refused_credentials_and_lock_outs_are_counted(measured: Measured) -> None:
    name, purpose = "rainbow_credentials_refused_total", {"purpose": "registration"}
    before = measured.scrape_all().total(name, **purpose)

    post(measured.server, "/api/v1/register", {"name": "intruder"}, bearer="a-guess")

    eventually(lambda: measured.scrape().total(name, **purpose) == before + 1)


def test_the_connections_of_each_process_are_told(measured: Measured, postgresql_only: None) -> None:
    limits = measured.scrape_all().samples_by_process("rainbow_database_connections_max")

    assert limits == {"grpc-1": 16, "grpc-2": 16, "web-1": 16, "metrics": 16}


def test_scrapers_that_stall_hold_nobody_up(measured: Measured) -> None:
    host, _, port = measured.address.rpartition(":")
    with ExitStack() as stack:
        for _ in range(50):
            stalled = stack.enter_context(socket.create_connection((host, int(port))))
            stalled.sendall(b"GET /metrics HTTP/1.1\r\n")

        assert measured.scrape_all()


def test_a_process_that_stands_still_is_left_out(measured: Measured) -> None:
    pid = measured.pid_of("grpc-2")
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: measured.scrape().values("rainbow_process_up", process="grpc-2") == [0])
        scraped = measured.scrape()
    finally:
        os.kill(pid, signal.SIGCONT)

    assert scraped.values("rainbow_process_up", process="grpc-1") == [1]
    assert not scraped.values("process_resident_memory_bytes", process="grpc-2")
    eventually(lambda: measured.scrape().values("rainbow_process_up", process="grpc-2") == [1])


def test_a_process_that_was_killed_counts_from_zero_again(measured: Measured) -> None:
    get(measured.server, "/healthz")
    eventually(lambda: measured.scrape().total("rainbow_http_requests_total", process="web-1") > 0)
    began = measured.scrape_all().values("process_start_time_seconds", process="web-1")

    os.kill(measured.pid_of("web-1"), signal.SIGKILL)

    eventually(lambda: measured.scrape().values("process_start_time_seconds", process="web-1") not in ([], began))
    assert measured.scrape_all().total("rainbow_http_requests_total", process="web-1") == 0


def test_the_server_goes_on_when_its_metrics_process_is_killed(measured: Measured, guest: Guest) -> None:
    os.kill(
        next(p for p in descendants(measured.server.process.pid) if "metricsworker" in command_of(p)), signal.SIGKILL
    )

    assert guest.submit_over_grpc("hostname") > 0
    measured.scrape_all()
