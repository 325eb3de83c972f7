"""Nobody writes a line of the server's log: what callers send stands in lines of ours, and in none of its own."""

import json
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

import grpc
import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer
from tests.support.web import post, registered
from tests.support.wire import SERVICE, connected, joined, refusal_of, registration

FORGED = "2026-11-22 19:11:46,412 INFO forged"
EVIL = f"x\r\n{FORGED}\x1b]0;title\x07\u2028{FORGED}\x85"
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR) ")
REQUESTS = [
    b"GET /%0d%0a2026-11-22%2019:11:46,412%20INFO%20forged%1b%07 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /api/v1/jobs\x1b]0;x\x07 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /api/v1/jobs?\x1b[31m HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"G\x1b[31mT /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET\x0b2026-11-22 /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /api/v1/jobs HTTP/1.1\r\nHost: evil\x1b[31m\r\n\r\n",
    b"GET /admin/ HTTP/1.1\r\nHost: evil.example\x85forged\r\n\r\n",
    b"GET /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \x1b[31m\x85\r\n\r\n",
    b"GET /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: \x1b[31m, 1\r\nX\x1b: y\r\n\r\n",
    b"GET /api/v1/clusters/\xe2\x80\xa8forged/queue HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /admin/login/?next=%0aforged HTTP/1.1\r\nHost: localhost\r\nCookie: sessionid=\x1b; csrftoken=\x1b\r\n\r\n",
    b"POST /admin/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nReferer: \x1b[31m\r\n\r\nx=%1b%0ay",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x1b[31m\r\n\r\n",
]


@pytest.fixture(params=["text", "json"])
def lines(
    request: pytest.FixtureRequest, start_server: Callable[..., RainbowServer]
) -> Callable[[Callable[[RainbowServer], None]], list[str]]:
    """What a server's log holds after it was spoken to and stopped."""

    def after(speak: Callable[[RainbowServer], None]) -> list[str]:
        server = start_server(
            with_web=True, environment={"RAINBOW_LOG_LEVEL": "DEBUG", "RAINBOW_LOG_FORMAT": request.param}
        )
        speak(server)
        server.stop()
        written = server.log.read_text(errors="surrogateescape").split("\n")[:-1]
        return [as_text(line) for line in written] if request.param == "json" else written

    return after


def as_text(line: str) -> str:
    """A line of JSON, as far as it is a line of its own: one object with what each has."""
    entry = json.loads(line)
    at = datetime.fromisoformat(entry["time"])
    assert line.isascii() and at.tzinfo == UTC and entry["logger"] and entry["process"] and entry["message"]
    return f"{at:%Y-%m-%d %H:%M:%S},000 {entry['level']} {line}"


def assert_ours(lines: list[str]) -> None:
    assert len(lines) > 3
    assert [line for line in lines if not LINE.match(line)] == []
    assert [line for line in lines if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u202e]", line)] == []


def test_no_http_request_writes_a_line_of_its_own(lines: Callable[..., list[str]]) -> None:
    def speak(server: RainbowServer) -> None:
        place = urlsplit(server.web)
        for request in REQUESTS:
            with socket.create_connection((place.hostname, place.port), timeout=PATIENCE_SECONDS) as connection:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass
        guest = registered(server)
        post(server, "/api/v1/jobs", {"command": EVIL, "name": EVIL, EVIL: EVIL}, bearer=guest.token)
        post(server, f"/api/v1/clusters/{guest.name}/pause", {"reason": EVIL}, bearer=guest.secret)

    assert_ours(lines(speak))


def test_no_grpc_call_writes_a_line_of_its_own(lines: Callable[..., list[str]]) -> None:
    def speak(server: RainbowServer) -> None:
        with joined(server) as alpha:
            refusal_of(alpha.stub.Register, registration(server, name=EVIL))
            refusal_of(alpha.stub.Register, registration(server, secret=EVIL))
            refusal_of(alpha.stub.SubmitJob, alpha.submission(cluster=EVIL))
            refusal_of(alpha.stub.SubmitJob, alpha.submission(name=EVIL, token=EVIL))
            refusal_of(alpha.stub.SubmitJob, alpha.submission(labels={EVIL: EVIL}))
            refusal_of(alpha.stub.SubmitJob, alpha.submission(environment={EVIL: EVIL}))
            refusal_of(alpha.stub.AcceptJobs, alpha.acceptance(1, agent=EVIL))
            refusal_of(alpha.stub.RequestJobs, pb.RequestJobsRequest(cluster=EVIL, secret=EVIL))
            refusal_of(alpha.stub.ListJobs, pb.ListJobsRequest(page_token=EVIL, name=EVIL), metadata=alpha.by_token)
            refusal_of(alpha.stub.ReportJobs, pb.ReportJobsRequest(agent=EVIL, pause=EVIL), metadata=alpha.by_secret)
            alpha.submit(f"echo {FORGED}\n{FORGED}")
            alpha.stub.Serial(pb.Request(content=pb.Content(id=EVIL)), timeout=PATIENCE_SECONDS)
        with grpc.insecure_channel(server.address) as channel, suppress(grpc.RpcError):
            channel.unary_unary(f"{SERVICE}/Nothing{FORGED}")(b"", timeout=PATIENCE_SECONDS)
        with connected(server.address) as stub:
            metadata = (("authorization", f"Bearer {FORGED}"), ("user-agent", FORGED), ("x-evil-bin", EVIL.encode()))
            refusal_of(stub.ListJobs, pb.ListJobsRequest(), metadata=metadata)

    assert_ours(lines(speak))
