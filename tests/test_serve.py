"""`manage.py serve`: gRPC and HTTP start together, stop together, and leave nothing behind."""

import os
import re
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management.base import CommandError
from django.test import Client

from rainbow_site.management.commands import serve
from rainbow_site.process.sockets import CannotListen, address_of, listen
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.processes import alive, command_of, descendants
from tests.support.rows import execute
from tests.support.servers import DEFAULT_WEB_WORKERS, MANAGE, RainbowServer, environment_for
from tests.support.web import get, registered
from tests.support.wire import eventually

StartServer = Callable[..., RainbowServer]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as occupant:
        yield occupant.getsockname()[1]


def test_both_doors_open_on_one_database(start_server: StartServer) -> None:
    server = start_server(with_web=True)

    member = registered(server)

    assert get(server, f"/api/v1/clusters/{member.name}", bearer=member.secret).status == 200
    assert member.submit_over_grpc("hostname") == 1
    assert get(server, "/api/v1/jobs/1", bearer=member.token).json["command"] == "hostname"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_when_it_is_told_to(start_server: StartServer, number: signal.Signals) -> None:
    server = start_server(with_web=True, environment=DEFAULT_WEB_WORKERS)
    family = descendants(server.process.pid)

    server.process.send_signal(number)

    assert server.process.wait(PATIENCE_SECONDS) == 0
    assert len(family) == 3, "gRPC and two processes for HTTP"
    assert not alive(family)
    assert "Traceback" not in server.log.read_text()


def test_nothing_is_left_when_it_is_killed(start_server: StartServer) -> None:
    server = start_server(with_web=True, environment=DEFAULT_WEB_WORKERS)
    family = descendants(server.process.pid)

    server.kill()

    eventually(lambda: not alive(family))


def test_it_ends_with_a_failure_when_grpc_is_killed(start_server: StartServer) -> None:
    server = start_server(with_web=True, environment=DEFAULT_WEB_WORKERS)
    family = descendants(server.process.pid)

    os.kill(next(pid for pid in family if "grpcserver" in command_of(pid)), signal.SIGKILL)

    assert server.process.wait(PATIENCE_SECONDS) == 128 + signal.SIGKILL
    eventually(lambda: not alive(family))
    assert "gRPC server ended; stopping the rest code=-9" in server.log.read_text()


def test_a_web_process_that_dies_is_started_again(start_server: StartServer) -> None:
    server = start_server(with_web=True)
    [victim] = server.web_processes()

    os.kill(victim, signal.SIGKILL)

    eventually(lambda: server.web_processes() not in ([], [victim]))
    assert get(server, "/readyz").status == 200
    server.log_with("web server 1 ended; starting it again code=-9")
    assert server.stop() == 0


def test_a_web_port_in_use_is_said_at_once(new_database: Callable[[], str], taken_port: int) -> None:
    result = run_serve(new_database(), "--web", f"127.0.0.1:{taken_port}", "--address", f"127.0.0.1:{free_port()}")

    assert result.returncode == 1
    assert f"CommandError: cannot listen on 127.0.0.1:{taken_port}: it is in use" in result.stderr
    assert "starting rainbow" not in result.stderr, "the gRPC server was not started"


def test_a_grpc_port_in_use_ends_the_web_server_too(new_database: Callable[[], str], taken_port: int) -> None:
    web = free_port()

    result = run_serve(new_database(), "--web", f"127.0.0.1:{web}", "--address", f"127.0.0.1:{taken_port}")

    assert result.returncode == 1
    assert f"CommandError: cannot listen on 127.0.0.1:{taken_port}: it is in use" in result.stderr
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", web), timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("nonsense", "it is not host:port"),
        ("127.0.0.1:", "it is not host:port"),
        ("127.0.0.1:http", "it is not host:port"),
        ("127.0.0.1:99999", "it is not host:port"),
        ("192.0.2.1:8000", "this machine has no such address"),
    ],
)
def test_what_is_no_address_of_this_machine_is_refused(address: str, why: str) -> None:
    with pytest.raises(CannotListen, match=f"cannot listen on {re.escape(address)}: {why}"):
        listen(address)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0"])
def test_port_zero_is_any_free_port(address: str) -> None:
    with listen(address) as listener:
        where = address_of(listener)

    assert where.startswith(address.removesuffix("0"))
    assert not where.endswith(":0")


def test_a_database_that_is_not_up_to_date_is_refused(postgresql_only: None, new_database: Callable[[], str]) -> None:
    url = new_database()
    execute(url, "DELETE FROM django_migrations WHERE app = 'jobs'")

    result = run_serve(url, "--web", f"127.0.0.1:{free_port()}", "--address", f"127.0.0.1:{free_port()}")

    assert result.returncode == 1
    assert "CommandError: the database is not up to date: run manage.py migrate" in result.stderr


def test_a_database_that_does_not_answer_is_refused_in_words(tmp_path: Path) -> None:
    url = f"postgresql://nobody@localhost:{free_port()}/nothing"

    result = run_serve(url, "--web", f"127.0.0.1:{free_port()}", "--address", f"127.0.0.1:{free_port()}")

    assert result.returncode == 1
    assert "CommandError: the database does not answer: " in result.stderr
    assert "Traceback" not in result.stderr


def test_a_call_that_waits_for_jobs_is_answered_when_the_server_stops(start_server: StartServer) -> None:
    server = start_server(with_web=True)
    member = registered(server)
    path = f"/api/v1/clusters/{member.name}/queue?wait_seconds=60"

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(get, server, path, bearer=member.secret)
        eventually(lambda: has_asked(server, member.name))
        began = time.monotonic()
        code = server.stop()

    assert waiting.result().json == {"jobs": [], "paused": ""}
    assert code == 0
    assert time.monotonic() - began < 60, "it did not wait for the call's own end"


def test_a_request_leaves_one_line_in_the_log_and_no_credential(start_server: StartServer) -> None:
    server = start_server(with_web=True)
    member = registered(server)

    get(server, "/api/v1/jobs?label=a%3Db", bearer=member.token)
    get(server, f"/api/v1/jobs/{member.token}?token={member.secret}", bearer="rbt_wrong")

    log = server.log_with(
        rf"INFO GET /api/v1/jobs cluster={member.name} status=200 ms=[\d.]+ request_id=\w+\n",
        r"INFO GET /api/v1/jobs/\(credential\) peer=127.0.0.1 status=404 ms=[\d.]+ request_id=\w+\n",
    )
    assert "rbt_" not in log
    assert "rbs_" not in log
    assert "/readyz" not in log


def test_the_root_leads_to_the_sign_in_page(client: Client) -> None:
    answer = client.get("/")

    assert (answer.status_code, answer["Location"]) == (302, "/sign-in/")


def test_readyz_says_when_the_database_falls_behind(start_server: StartServer) -> None:
    server = start_server(with_web=True)

    execute(server.database_url, "DELETE FROM django_migrations WHERE app = 'jobs'")

    eventually(lambda: get(server, "/readyz").status == 503)
    trouble = {"status": "the database is not up to date: run manage.py migrate"}
    eventually(lambda: get(server, "/readyz").json == trouble)
    assert get(server, "/healthz").json == {"status": "ok"}


def test_it_serves_from_any_folder(start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    server = start_server(with_web=True)

    assert get(server, "/admin/login/").status == 200
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_made_once_and_kept_from_others(tmp_path: Path, settings: pytest.FixtureRequest) -> None:
    settings.RAINBOW_SECRET_KEY, settings.BASE_DIR = "", tmp_path

    key = serve._secret_key()

    assert len(key) >= 50
    assert serve._secret_key() == key
    assert stat.S_IMODE((tmp_path / "rainbow.key").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "rainbow.key"]


def test_a_folder_that_cannot_be_written_asks_for_a_key(tmp_path: Path, settings: pytest.FixtureRequest) -> None:
    settings.RAINBOW_SECRET_KEY, settings.BASE_DIR = "", tmp_path / "missing"

    with pytest.raises(CommandError, match="set RAINBOW_SECRET_KEY"):
        serve._secret_key()


def run_serve(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = environment_for(database_url, RAINBOW_SECRET_KEY="for-the-tests-only")
    return subprocess.run(
        [*MANAGE, "serve", *arguments], env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )


def has_asked(server: RainbowServer, cluster: str) -> bool:
    rows = execute(server.database_url, "SELECT last_asked_at FROM clusters_cluster WHERE name = %s", [cluster])
    return rows[0][0] is not None
