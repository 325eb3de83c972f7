"""The health check of the server's image, beside the servers that it asks."""

import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.servers import ROOT, RainbowServer, environment_for


def probe(web_address: str, **settings: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "rainbow_site.process.probe"],
        cwd=ROOT,
        env=environment_for("sqlite:///unused.db", RAINBOW_WEB_ADDRESS=web_address, **settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", ""])
@pytest.mark.parametrize("hosts", ["", "localhost,rainbow.example.org", "*"])
def test_a_server_that_is_ready_passes(web_server: RainbowServer, host: str, hosts: str) -> None:
    address = f"{host}:{urlsplit(web_server.web).port}"

    assert probe(address, RAINBOW_ALLOWED_HOSTS=hosts) == (0, '{"status": "ok"}\n')


def test_a_host_that_the_server_does_not_answer_to_fails(web_server: RainbowServer) -> None:
    code, said = probe(urlsplit(web_server.web).netloc, RAINBOW_ALLOWED_HOSTS=".example.org")

    assert code == 1
    assert said


def test_a_server_with_a_certificate_is_asked_over_tls(tls_web_server: RainbowServer) -> None:
    pair = {"RAINBOW_TLS_CERT": tls_web_server.ca_file, "RAINBOW_TLS_KEY": tls_web_server.ca_file}

    assert probe(urlsplit(tls_web_server.web).netloc, **pair) == (0, '{"status": "ok"}\n')


def test_no_server_fails() -> None:
    code, said = probe(f"127.0.0.1:{free_port()}")

    assert (code, said.partition(":")[0]) == (1, "no answer")
