"""TLS: a server that was meant to encrypt never serves without, and says what is wrong with its certificate."""

import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from rainbow.client import Client
from rainbow.protos import rainbow_pb2 as pb
from rainbow_site.environment import WrongSetting
from rainbow_site.process.certificates import TlsFiles
from tests.support import processes
from tests.support.certificates import make_certificate
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.servers import MANAGE, ROOT, environment_for
from tests.support.wire import connected, refusal_of

GOOD = {"cert": "cert.pem", "key": "key.pem"}


@pytest.fixture
def start(new_database: Callable[[], str], tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start a server with these settings; gives its address at once."""
    started = []

    def start(**settings: str) -> str:
        address = f"localhost:{free_port()}"
        command = [*MANAGE, "grpcserver", "--address", address]
        environment = environment_for(new_database(), **settings)
        started.append(processes.start(command, log=tmp_path / "log", environment=environment))
        return address

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_server_with_a_certificate_speaks_tls_and_nothing_else(start: Callable[..., str], tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)

    address = start(RAINBOW_TLS_CERT=str(certificate), RAINBOW_TLS_KEY=str(key))

    with Client(address, ca_file=certificate, timeout_seconds=PATIENCE_SECONDS) as client:
        assert client.serial("over tls").request_id == "over tls"
    with connected(address) as plain:
        assert refusal_of(plain.Serial, pb.Request()).code == grpc.StatusCode.UNAVAILABLE


def test_a_certificate_made_by_the_manual_is_good_for_this_machine(start: Callable[..., str], tmp_path: Path) -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    [make] = re.findall(r"^\$ (openssl req .*)$", manual, re.MULTILINE)
    subprocess.run(["bash", "-c", make], cwd=tmp_path, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    assert stat.filemode(key.stat().st_mode) == "-rw-------"

    address = start(RAINBOW_TLS_CERT=str(certificate), RAINBOW_TLS_KEY=str(key))

    for host in ("localhost", "127.0.0.1"):
        known = address.replace("localhost", host)
        with Client(known, ca_file=certificate, timeout_seconds=PATIENCE_SECONDS) as client:
            assert client.serial(host).request_id == host


def test_without_a_certificate_there_is_no_tls() -> None:
    assert not TlsFiles()
    TlsFiles().check()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"cert": "cert.pem", "key": ""}, "RAINBOW_TLS_KEY: must be set too, because RAINBOW_TLS_CERT is"),
        ({"cert": "", "key": "key.pem"}, "RAINBOW_TLS_CERT: must be set too, because RAINBOW_TLS_KEY is"),
        ({"cert": "none.pem", "key": "key.pem"}, "RAINBOW_TLS_CERT: cannot read none.pem: No such file"),
        ({"cert": "cert.pem", "key": "."}, "RAINBOW_TLS_KEY: cannot read .: Is a directory"),
        ({"cert": "broken.pem", "key": "key.pem"}, "broken.pem and key.pem are not a certificate and its private key"),
        ({"cert": "cert.pem", "key": "broken.pem"}, "not a certificate and its private key"),
        ({"cert": "key.pem", "key": "cert.pem"}, "not a certificate and its private key"),
        ({"cert": "cert.pem", "key": "other/key.pem"}, "not a certificate and its private key"),
        (GOOD | {"client_ca": "none.pem"}, "RAINBOW_TLS_CLIENT_CA: cannot read none.pem: No such file"),
        (GOOD | {"client_ca": "key.pem"}, "RAINBOW_TLS_CLIENT_CA: key.pem holds no certificates as PEM"),
        ({"cert": "closed/cert.pem", "key": "closed/key.pem"}, "the key without a password"),
    ],
)
def test_what_is_wrong_with_the_certificate_is_said(
    settings: dict[str, str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, password in (("", ""), ("other", ""), ("closed", "a password")):
        Path(folder).mkdir(exist_ok=True)
        make_certificate(Path(folder), password=password)
    Path("broken.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")

    with pytest.raises(WrongSetting, match=complaint):
        TlsFiles(**settings).check()
