"""A process of the web server by itself, with an application that misbehaves."""

import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

import pytest

from tests.support.certificates import make_certificate
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import ROOT, environment_for

SERVER = """
import os, signal, socket, sys
import django
django.setup()
from rainbow_site.web_server import server
server._HANGS_AFTER_SECONDS, server.GRACE_SECONDS = {hangs_after_seconds}, 1
tls = None
{application}
web = server.WebServer(application, socket.socket(fileno=int(sys.argv[1])), tls=tls)
signal.signal(signal.SIGTERM, lambda number, frame: web.stop())
web.serve()
"""
# No other thread runs while a regular expression is matched.
HANGS = """
import re
def application(environ, start_response):
    re.match("(a+)+$", "a" * 100 + "b")
"""
NEVER_ANSWERS = """
import threading
def application(environ, start_response):
    threading.Event().wait()
"""
FAILS = """
def application(environ, start_response):
    raise ValueError(environ["HTTP_X_SECRET"])
"""
# In so many steps, however long each takes, so that the test ends in any case.
LOOKS_WHO_IS_THERE = """
import sys, time
def application(environ, start_response):
    has_gone = environ["waitress.client_disconnected"]
    print("gone" if has_gone() else "there", file=sys.stderr, flush=True)
    for _ in range(1_000):
        if not has_gone():
            time.sleep(0.01)
    print("gone" if has_gone() else "there", file=sys.stderr, flush=True)
    start_response("204 No Content", [])
    return []
"""
ENCRYPTS = """
from types import SimpleNamespace
from rainbow_site.process.certificates import TlsFiles
from rainbow_site.web_server.tls import context_from
tls = SimpleNamespace(current=context_from(TlsFiles(cert="{certificate}", key="{key}")))
"""

Start = Callable[..., tuple[subprocess.Popen[str], HTTPConnection]]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    # A machine that stands still for a while is no reason to end.
    def start(
        application: str, hangs_after_seconds: int = PATIENCE_SECONDS
    ) -> tuple[subprocess.Popen[str], HTTPConnection]:
        program = SERVER.format(application=application, hangs_after_seconds=hangs_after_seconds)
        environment = environment_for("sqlite:///:memory:", DJANGO_SETTINGS_MODULE="rainbow_site.settings")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            command = [sys.executable, "-c", program, str(listener.fileno())]
            started.append(
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=environment,
                    pass_fds=[listener.fileno()],
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            host, port = listener.getsockname()
            return started[-1], HTTPConnection(host, port, timeout=PATIENCE_SECONDS)

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_process_that_stands_still_ends_with_a_trace(start: Start) -> None:
    process, client = start(HANGS, hangs_after_seconds=15)

    client.request("GET", "/")
    _, said = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 1
    assert "Timeout (0:00:15)!" in said
    assert "in application" in said


def test_a_stop_does_not_wait_for_an_answer_that_never_comes(start: Start) -> None:
    process, client = start(NEVER_ANSWERS)
    client.request("GET", "/")
    other = HTTPConnection(client.host, client.port, timeout=PATIENCE_SECONDS)
    other.request("GET", "/", headers={"Content-Length": "none"})
    assert other.getresponse().status == 400, "by now the first is under way"

    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 0


def test_an_application_that_fails_tells_the_log_and_not_the_client(start: Start) -> None:
    process, client = start(FAILS)

    client.request("GET", "/", headers={"X-Secret": "hush"})
    answer = client.getresponse()
    body = answer.read()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)

    assert answer.status == 500
    assert b"hush" not in body
    assert "ValueError: (its words may be of a job)" in said
    assert "hush" not in said


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_an_application_that_takes_long_learns_that_its_client_has_gone(
    start: Start, tmp_path: Path, encrypted: bool
) -> None:
    certificate, key = make_certificate(tmp_path)
    encrypts = ENCRYPTS.format(certificate=certificate, key=key) if encrypted else ""
    process, client = start(encrypts + LOOKS_WHO_IS_THERE)
    if encrypted:
        context = ssl.create_default_context(cafile=str(certificate))
        client = HTTPSConnection(client.host, client.port, timeout=PATIENCE_SECONDS, context=context)
    said = process.stderr
    assert said is not None

    client.request("GET", "/")
    assert said.readline() == "there\n"
    # A request that comes before the answer is not read before it either.
    client.sock.sendall(b"GET / HTTP/1.1\r\n")
    client.close()

    assert said.readline() == "gone\n"
