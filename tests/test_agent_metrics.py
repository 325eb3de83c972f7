"""An agent's metrics: how it is, how its scheduler does, and who may read that."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rainbow.agent import metrics_server
from rainbow.agent.metrics import AgentMetrics
from rainbow.agent.metrics_server import MOST_AT_ONCE, MetricsServer
from rainbow.agent.timed_executor import TimedExecutor
from rainbow.errors import InvalidArgument
from tests.support.agent_cast import Hire
from tests.support.agents import Crew, ScriptedExecutor
from tests.support.metrics import scrape
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.ports import free_port

TOKEN = "a-token-for-the-tests-only"
Serve = Callable[..., str]


@pytest.fixture
def metrics() -> AgentMetrics:
    return AgentMetrics(cluster="keebler", executor="slurm")


@pytest.fixture
def measured(hire: Hire, scheduler: ScriptedExecutor, metrics: AgentMetrics) -> Crew:
    crew = hire(executor=TimedExecutor(scheduler, metrics.timed))
    metrics.watch(crew.agent, folder=crew.folder)
    return crew


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(*, token_file: Path | str = "") -> str:
            address = f"127.0.0.1:{free_port()}"
            server = stack.enter_context(MetricsServer(address, lambda: b"up 1\n", token_file=str(token_file)))
            server.start()
            stack.callback(server.shutdown)
            return address

        yield start


def value(metrics: AgentMetrics, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(metrics.write().decode())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def test_the_jobs_that_it_holds_are_told_by_stage(measured: Crew, metrics: AgentMetrics) -> None:
    measured.submit()
    measured.submit()

    measured.work(lambda: value(metrics, "rainbow_agent_jobs", stage="submitted") == 2)

    assert value(metrics, "rainbow_agent_jobs") == 2
    measured.work(lambda: value(metrics, "rainbow_agent_reports_outstanding") == 0)
    assert value(metrics, "rainbow_agent_scheduler_seconds_count", call="submit") == 2
    assert value(metrics, "rainbow_agent_scheduler_failures_total") == 0
    assert value(metrics, "rainbow_agent_last_contact_timestamp_seconds") > 0
    assert value(metrics, "rainbow_agent_last_round_timestamp_seconds") > 0
    assert value(metrics, "rainbow_agent_disk_free_bytes") > 0
    assert value(metrics, "rainbow_agent_takes_jobs") == 1


def test_a_silent_scheduler_shows(measured: Crew, metrics: AgentMetrics, scheduler: ScriptedExecutor) -> None:
    scheduler.silent.add("capacity")

    measured.work(lambda: value(metrics, "rainbow_agent_troubles") == 1)

    assert value(metrics, "rainbow_agent_scheduler_failures_total", call="capacity") >= 1
    assert value(metrics, "rainbow_agent_takes_jobs") == 0


def test_what_the_server_does_not_know_yet_is_outstanding(measured: Crew, metrics: AgentMetrics) -> None:
    measured.submit()
    measured.work(lambda: value(metrics, "rainbow_agent_jobs") == 1)
    measured.work(lambda: value(metrics, "rainbow_agent_reports_outstanding") == 0)

    [held] = measured.agent._held_jobs
    held.waiting_reason = "it waits for its turn"

    assert value(metrics, "rainbow_agent_reports_outstanding") == 1


def test_scrapes_need_the_token(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    address = serve(token_file=tmp_path / "token")

    assert scrape(address).status == scrape(address, token="wrong").status == 401
    assert scrape(address, token=TOKEN).text == "up 1\n"
    assert scrape(address, token=TOKEN, path="/other").status == 404
    assert scrape(address, token=TOKEN, method="POST").status == 501
    (tmp_path / "token").unlink()
    assert scrape(address, token=TOKEN).status == 401


def test_scrapers_that_stall_are_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "LONGEST_SECONDS", 1)
    address = serve()
    with ExitStack() as stack:
        stalled = [stack.enter_context(socket.create_connection(_place(address))) for _ in range(3 * MOST_AT_ONCE)]
        for connection in stalled:
            connection.settimeout(PATIENCE_SECONDS)

        assert {_read(connection) for connection in stalled} == {b""}, "all are closed"

    wait_until(lambda: _is_answered(address))


def test_a_machine_that_is_short_of_threads_for_a_while_is_scraped_again_afterwards(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = serve()

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", refuse)
        for _ in range(MOST_AT_ONCE):
            with socket.create_connection(_place(address), timeout=PATIENCE_SECONDS) as connection:
                assert _read(connection) == b"", "it is closed"

    assert _is_answered(address)


@pytest.mark.parametrize("address", ["0.0.0.0:9465", "[::]:9465", "login1.example.org:9465"])
def test_without_a_token_only_this_machine_may_scrape(address: str) -> None:
    with pytest.raises(InvalidArgument, match="--metrics-token-file"):
        MetricsServer(address, bytes)


@pytest.mark.parametrize("address", ["localhost", "::1", "127.0.0.1:0", "127.0.0.1:99999", "", ":9465", "http://x:1"])
def test_an_address_has_a_host_and_a_port(address: str) -> None:
    with pytest.raises(InvalidArgument, match="must be HOST"):
        MetricsServer(address, bytes)


def test_an_address_in_use_is_refused(serve: Serve) -> None:
    with pytest.raises(InvalidArgument, match="cannot listen"):
        MetricsServer(serve(), bytes)


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def _read(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1)
    except ConnectionResetError:
        return b""


def _is_answered(address: str) -> bool:
    try:
        return scrape(address).status == 200
    except OSError:
        return False
