"""HTTPS by the web server itself: with the certificate that gRPC has, and no proxy."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from rainbow_site.process.certificates import TlsFiles
from rainbow_site.web_server.tls import context_from
from tests.support.certificates import make_certificate
from tests.support.raw_http import LARGE, connect, encrypted, replies, request
from tests.support.servers import RainbowServer
from tests.support.web import get, post, registered

MEBIBYTE = 1024 * 1024


def test_one_certificate_serves_both(tls_web_server: RainbowServer) -> None:
    guest = registered(tls_web_server)

    new = post(tls_web_server, "/api/v1/jobs", {"command": "hostname"}, bearer=guest.token)

    assert tls_web_server.web.startswith("https://")
    assert new.status == 201
    assert "INFO HTTP at https://127.0.0.1:" in tls_web_server.log.read_text()


def test_addresses_that_it_names_are_encrypted_too(tls_web_server: RainbowServer) -> None:
    guest = registered(tls_web_server)
    for _ in range(2):
        post(tls_web_server, "/api/v1/jobs", {"command": "hostname"}, bearer=guest.token)

    page = get(tls_web_server, "/api/v1/jobs?page_size=1", bearer=guest.token)

    assert page.json["next"].startswith("https://")


def test_whoever_speaks_without_tls_is_told_so(tls_web_server: RainbowServer) -> None:
    with connect(tls_web_server) as link:
        link.sendall(request())
        [answer] = replies(link)

    assert (answer.status, answer.body) == (400, b"this port speaks HTTPS: use https://\r\n")


def test_much_goes_both_ways(tls_web_server: RainbowServer) -> None:
    guest = registered(tls_web_server)
    jobs = [{"command": "echo " + "x" * 60_000} for _ in range(100)]

    new = post(tls_web_server, "/api/v1/jobs/batch", {"jobs": jobs}, bearer=guest.token)
    queue = get(tls_web_server, f"/api/v1/clusters/{guest.name}/queue", bearer=guest.secret)

    assert new.status == 200
    assert len(queue.body) > 3 * MEBIBYTE
    assert queue.json["jobs"][0]["command"] == jobs[0]["command"]


def test_requests_that_come_together_are_answered_in_their_order(tls_web_server: RainbowServer) -> None:
    with encrypted(tls_web_server) as link:
        link.sendall(b"".join([request(), request("/api/v1/nothing"), request("/readyz", "Connection: close")]))

        assert [answer.status for answer in replies(link)] == [200, 404, 200]


def test_whoever_sends_too_much_reads_why(tls_web_server: RainbowServer) -> None:
    head = request("/api/v1/jobs", f"Content-Length: {20 * MEBIBYTE}", method="POST")

    with encrypted(tls_web_server) as link:
        link.sendall(head + b"x" * MEBIBYTE)
        assert next(replies(link)).status == 413


def test_answers_end_with_a_goodbye_so_that_none_is_cut_short_unseen(tls_web_server: RainbowServer) -> None:
    with encrypted(tls_web_server) as link:
        link.sendall(request(LARGE, "Connection: close"))
        while some := link.recv(MEBIBYTE):
            last = some

    assert last, "no ssl.SSLEOFError"


def test_old_protocols_are_refused(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)

    assert context_from(TlsFiles(cert=str(certificate), key=str(key))).minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_client_that_leaves_in_the_middle_of_a_handshake_harms_nobody(tls_web_server: RainbowServer) -> None:
    for said in (b"", b"\x16", b"nonsense" * 100, b"\x15\x03\x01\x00\x02\x02\x28"):
        with connect(tls_web_server) as link:
            link.sendall(said)
            # A reset, not a goodbye.
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    assert get(tls_web_server, "/healthz").status == 200


def test_a_proxy_before_the_web_server_ends_tls(start_server: Callable[..., RainbowServer], tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    environment = {"RAINBOW_TLS_CERT": str(certificate), "RAINBOW_TLS_KEY": str(key), "RAINBOW_PROXIES": "1"}

    server = start_server(with_web=True, environment=environment)

    assert server.web.startswith("http://")
    assert get(server, "/healthz").status == 200
