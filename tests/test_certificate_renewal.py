"""A certificate is renewed under load: no call is refused, and new connections get the new one from every process."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rainbow.client import Client
from rainbow.retries import Retries
from tests.support.certificates import Authority, Pair, run_manual
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer, start_rainbow
from tests.support.web import get
from tests.support.wire import eventually

# Of each kind of connection, and far more than the renewals take.
MOST_CALLS = 20_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("in use")


@pytest.fixture(scope="module")
def renewing(
    new_database: Callable[[], str], pair: Pair, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RainbowServer]:
    """A server with two web processes, whose certificate tests replace."""
    settings = {"RAINBOW_TLS_CERT": str(pair.cert), "RAINBOW_TLS_KEY": str(pair.key), "RAINBOW_WEB_WORKERS": "2"}
    log = tmp_path_factory.mktemp("renewing") / "log"
    running = start_rainbow(
        database_url=new_database(), log=log, with_web=True, environment=settings, ca_file=str(authority.cert)
    )
    # One process answers before the other is up, which would start with a certificate of a renewal and so not renew it.
    eventually(lambda: running.log.read_text().count("a process of the web server is ready") == 2)
    yield running
    running.stop()


def serial_at(server: RainbowServer, place: str) -> str:
    host, port = place.split(":")
    context = ssl.create_default_context(cafile=server.ca_file)
    link = socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)
    with context.wrap_socket(link, server_hostname="localhost") as secure:
        return str((secure.getpeercert() or {})["serialNumber"])


def test_no_call_over_a_new_connection_is_refused_while_the_certificate_is_renewed(
    renewing: RainbowServer, pair: Pair, authority: Authority
) -> None:
    renewed = [authority.issue(f"renewed {number}") for number in range(3)]
    done, refused, answered = threading.Event(), list[object](), list[Callable[[], None]]()

    def call_often(call: Callable[[], None]) -> None:
        while not done.is_set() and len(answered) < MOST_CALLS:
            try:
                call()
            except Exception as error:
                refused.append(error)
            answered.append(call)

    def over_grpc() -> None:
        repeated = Retries(on_pause=lambda failure, seconds: refused.append(failure))
        options = {"timeout_seconds": PATIENCE_SECONDS, "retries": repeated}
        with Client(renewing.address, ca_file=renewing.ca_file, **options) as client:
            client.serial()

    def over_https() -> None:
        assert get(renewing, "/healthz").status == 200

    callers = [threading.Thread(target=call_often, args=[call]) for call in (over_grpc, over_https)]
    for caller in callers:
        caller.start()
    for new in renewed:
        pair.replace(new)
        eventually(lambda new=new: renewing.log.read_text().count(f"certificate renewed serial={new.serial}") == 3)
    done.set()
    for caller in callers:
        caller.join()

    assert refused == []
    assert {over_grpc, over_https} <= set(answered)
    places = (renewing.address, urlsplit(renewing.web).netloc)
    # With h2corn a second server begins then.
    eventually(lambda: {serial_at(renewing, place) for place in places} == {renewed[-1].serial})
    assert "ERROR" not in renewing.log.read_text()


def test_a_broken_file_changes_nothing_for_clients(renewing: RainbowServer, pair: Pair) -> None:
    before, good = pair.serial, pair.cert.read_bytes()

    pair.cert.write_bytes(b"nonsense")
    eventually(lambda: renewing.log.read_text().count("the certificate in use stays") == 3)

    assert {serial_at(renewing, place) for place in (renewing.address, urlsplit(renewing.web).netloc)} == {before}
    assert "certificate" in get(renewing, "/readyz").json
    pair.cert.write_bytes(good)
    eventually(lambda: "certificate" not in get(renewing, "/readyz").json)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_versions_of_tls_before_1_2_are_refused(renewing: RainbowServer, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=renewing.ca_file)
    # At its usual level OpenSSL would not even offer them.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version

    for place in (renewing.address, urlsplit(renewing.web).netloc):
        host, port = place.split(":")
        link = socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)
        with link, pytest.raises(ssl.SSLError, match=r"EOF occurred|alert protocol version|alert handshake failure"):
            context.wrap_socket(link, server_hostname="localhost")


def test_the_manuals_authority_and_certificate_serve(tmp_path: Path, new_database: Callable[[], str]) -> None:
    run_manual("An authority of your own", tmp_path)
    settings = {"RAINBOW_TLS_CERT": str(tmp_path / "cert.pem"), "RAINBOW_TLS_KEY": str(tmp_path / "key.pem")}

    running = start_rainbow(
        database_url=new_database(), log=tmp_path / "log", environment=settings, ca_file=str(tmp_path / "ca.pem")
    )

    try:
        assert serial_at(running, running.address) == Pair(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem").serial
    finally:
        running.stop()
