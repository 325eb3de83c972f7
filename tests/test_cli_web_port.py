"""What a client is told that calls the port of a web server instead of that of gRPC."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from waitress import create_server

from rainbow.cli import main
from rainbow.client import Client
from rainbow.errors import Unreachable
from rainbow.retries import Retries
from tests.support.certificates import make_certificate
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rehearsed import TWO_ATTEMPTS

HTTP_PORT = "that is an HTTP port, as of the web pages and of REST; gRPC has another, usually 50051"
HINT = "--host names the port of gRPC"


def application(environ: dict[str, object], start_response: Callable[..., object]) -> list[bytes]:
    start_response("404 Not Found", [])
    return [b""]


@pytest.fixture
def web_port() -> Iterator[int]:
    """That of waitress, the web server of rainbow."""
    server = create_server(application, host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield server.effective_port
    server.close()


@pytest.fixture
def https(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A server of HTTP/1.1 in TLS, which knows no HTTP/2; its port and its certificate."""
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                with suppress(OSError), context.wrap_socket(link, server_side=True) as secure:
                    secure.recv(1)
                    secure.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        stack.callback(listener.shutdown, socket.SHUT_RDWR)
        yield listener.getsockname()[1], certificate


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_port_of_the_web_pages_is_said_to_be_that_at_once(config_file: Path, web_port: int, host: str) -> None:
    address = f"{host}:{web_port}"

    told = CliRunner().invoke(main, ["jobs", "--token", "t", "--host", address, "--timeout", f"{PATIENCE_SECONDS}"])

    assert told.exit_code == 6
    assert told.stderr == f"Error: {address} cannot be reached: {HTTP_PORT}; {HINT}\n"


def test_nor_does_a_stream_try_again_there(web_port: int) -> None:
    tried: list[float] = []
    retries = Retries(on_pause=lambda _, within: tried.append(within))

    with (
        Client(f"127.0.0.1:{web_port}", token="t", retries=retries) as client,
        pytest.raises(Unreachable, match=HTTP_PORT),
    ):
        list(client.watch_jobs([1]))

    assert tried == []


@pytest.mark.usefixtures("tried_twice")
def test_so_is_one_that_encrypts(config_file: Path, https: tuple[int, Path]) -> None:
    port, certificate = https
    words = ["--token", "t", "--host", f"localhost:{port}", "--ca-file", str(certificate), *TWO_ATTEMPTS]

    told = CliRunner().invoke(main, ["jobs", *words])

    assert told.exit_code == 6
    assert "that is an HTTP port" in told.stderr.splitlines()[-1]
