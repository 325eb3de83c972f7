"""Why no connection comes about, where a name has several addresses: gRPC would tell of the last one alone."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from rainbow import connection_diagnosis
from rainbow.client import Client
from rainbow.errors import Unreachable
from rainbow.tls import Tls
from tests.support.certificates import make_certificate
from tests.support.commandline import Run
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.rehearsed import TWO_ATTEMPTS, TWO_ATTEMPTS_SECONDS, Clock, two_attempts


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="localhost has one address here")


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes longer to answer than a person waits."""
    monkeypatch.setattr(connection_diagnosis, "SECONDS_PER_ADDRESS", PATIENCE_SECONDS)


TRUSTED_NOT = r"its certificate is not trusted \(self-signed certificate\)"
ONLY_TLS = "it closed the connection; perhaps it speaks only TLS"
Start = Callable[..., int]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A gRPC server at one address of this machine, and its port."""
    with ExitStack() as stack:

        def begin(address: str, *, tls: bool) -> int:
            server, port = grpc.server(ThreadPoolExecutor(1)), free_port()
            stack.callback(server.stop, None)
            if tls:
                certificate, key = make_certificate(tmp_path)
                credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
                server.add_secure_port(f"{address}:{port}", credentials)
            else:
                server.add_insecure_port(f"{address}:{port}")
            server.start()
            return port

        yield begin


@pytest.mark.parametrize(
    ("address", "serves_tls", "asks_tls", "words"),
    [
        ("[::1]", True, True, f"{TRUSTED_NOT} at ::1; connection refused at 127.0.0.1"),
        ("127.0.0.1", True, True, f"connection refused at ::1; {TRUSTED_NOT} at 127.0.0.1"),
        ("[::]", True, True, r"its certificate is not trusted \(self[- ]signed certificate\)$"),
        ("[::1]", True, False, f"{ONLY_TLS} at ::1; connection refused at 127.0.0.1"),
        ("[::1]", False, True, "it does not speak TLS at ::1; connection refused at 127.0.0.1"),
    ],
    ids=["not trusted at the first", "not trusted at the last", "not trusted at both", "only TLS", "no TLS"],
)
def test_no_address_hides_what_is_wrong_with_another(
    start: Start, address: str, serves_tls: bool, asks_tls: bool, words: str
) -> None:
    port = start(address, tls=serves_tls)

    with (
        Client(
            f"localhost:{port}", tls=asks_tls, timeout_seconds=TWO_ATTEMPTS_SECONDS, retries=two_attempts()
        ) as client,
        pytest.raises(Unreachable, match=f"cannot be reached: {words}"),
    ):
        client.serial()


@pytest.mark.parametrize(
    ("answered", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", f"{connection_diagnosis.WEB_PORT}$"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", r"connection refused at ::1; it does not speak gRPC at 127\.0\.0\.1$"),
    ],
    ids=["HTTP", "SSH"],
)
def test_what_is_no_rainbow_server_is_said_to_be_none(answered: bytes, words: str) -> None:
    def answer() -> None:
        while True:
            try:
                link, _ = other.accept()
            except OSError:
                return
            with link:
                link.recv(1)
                link.sendall(answered)

    with socket.create_server(("127.0.0.1", free_port())) as other:
        threading.Thread(target=answer, daemon=True).start()
        with (
            Client(
                f"localhost:{other.getsockname()[1]}", timeout_seconds=TWO_ATTEMPTS_SECONDS, retries=two_attempts()
            ) as client,
            pytest.raises(Unreachable, match=f"cannot be reached: {words}"),
        ):
            client.serial()
        other.shutdown(socket.SHUT_RDWR)


def test_an_address_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_diagnosis, "SECONDS_PER_ADDRESS", 0.2)
    with socket.create_server(("127.0.0.1", free_port())) as silent:
        address = f"localhost:{silent.getsockname()[1]}"

        told = connection_diagnosis.ConnectionDiagnosis(address, tls=Tls()).reason("")

    assert told == "connection refused at ::1; no answer at 127.0.0.1"


def test_addresses_are_looked_at_every_ten_seconds_and_no_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    monkeypatch.setattr(
        connection_diagnosis.ConnectionDiagnosis, "_failure", lambda self, address, port, host: looks.append(address)
    )
    clock = Clock()
    looking = connection_diagnosis.ConnectionDiagnosis("localhost:1", tls=Tls(), clock=lambda: clock.now)

    for clock.now in (0.0, 9.0, 10.0, 10.5):
        looking.reason("details: of gRPC")

    assert looks == [*connection_diagnosis.LOOPBACK, *connection_diagnosis.LOOPBACK]


@pytest.mark.usefixtures("tried_twice")
def test_the_command_line_says_it_in_its_last_line(rainbow: Run, start: Start) -> None:
    port = start("[::1]", tls=True)

    result = rainbow("jobs", "--host", f"localhost:{port}", "--tls", *TWO_ATTEMPTS)

    assert result.exit_code == 6
    assert "its certificate is not trusted" in result.stderr.splitlines()[-1]


@pytest.mark.usefixtures("tried_twice")
@pytest.mark.parametrize(
    ("serves_tls", "flag", "hint"),
    [
        (True, "--tls", "--ca-file names a certificate to trust"),
        (True, "--no-tls", "--tls encrypts"),
        (False, "--tls", "--no-tls does without, and credentials then travel readable"),
    ],
    ids=["not trusted", "only TLS", "no TLS"],
)
def test_the_command_line_names_the_option_that_helps(
    rainbow: Run, start: Start, serves_tls: bool, flag: str, hint: str
) -> None:
    port = start("[::1]", tls=serves_tls)

    result = rainbow("jobs", "--host", f"localhost:{port}", flag, *TWO_ATTEMPTS)

    assert result.exit_code == 6
    assert result.stderr.splitlines()[-1].endswith(f"; {hint}")
