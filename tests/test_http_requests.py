"""What the web server takes for a request, and what it refuses before anybody acts on it."""

import json
import socket
import threading
import uuid
from itertools import islice

import pytest

from rainbow_site.web.rest.parsers import MAX_BODY_BYTES
from rainbow_site.web_server.request import MAX_FIELDS, MAX_HEAD_BYTES, MAX_LINE_BYTES
from tests.support.raw_http import connect, exchange, replies, request
from tests.support.servers import RainbowServer
from tests.support.web import Guest, get, registered

CHUNKED = "Transfer-Encoding: chunked"
TO_JOBS = b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "shape",
    [
        TO_JOBS + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        TO_JOBS + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        TO_JOBS.replace(b"1.1", b"1.0") + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        TO_JOBS.replace(b"1.1", b"1.2") + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        TO_JOBS.replace(b" HTTP/1.1", b"") + b"\r\n",
        TO_JOBS + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
        TO_JOBS + b"Content-Length: +0\r\n\r\n",
        TO_JOBS + b"Content-Length: -1\r\n\r\n",
        TO_JOBS + b"Content-Length: 0x0\r\n\r\n",
        TO_JOBS + b"Content-Length: 1_0\r\n\r\n",
        TO_JOBS + b"Content-Length : 0\r\n\r\n",
        TO_JOBS + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        TO_JOBS + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        TO_JOBS + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        TO_JOBS + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        TO_JOBS + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
        TO_JOBS + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        TO_JOBS + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}X0\r\n\r\n",
        TO_JOBS + b"X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        TO_JOBS + b"X: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        TO_JOBS + b"X: \x00\r\n\r\n",
        TO_JOBS + b"no colon\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
    ],
)
def test_what_two_servers_may_read_differently_is_refused_and_nothing_after_it_is_read(
    web_server: RainbowServer, shape: bytes
) -> None:
    smuggled = f"/{uuid.uuid4()}"

    answers = exchange(web_server, shape + request(smuggled))

    assert [answer.status // 100 for answer in answers] in ([4], [5])
    assert smuggled not in web_server.log.read_text()


@pytest.mark.parametrize(
    "sent",
    [
        request("/" + "x" * MAX_LINE_BYTES),
        request("/healthz", *[f"X-{number}: a" for number in range(MAX_FIELDS)]),
        request("/healthz", "X: " + "a" * MAX_HEAD_BYTES),
    ],
    ids=["line", "fields", "head"],
)
def test_a_head_has_its_limits(web_server: RainbowServer, sent: bytes) -> None:
    [answer] = exchange(web_server, sent)

    assert answer.status in (400, 431)
    assert answer.headers["connection"] == "close"


def test_what_was_refused_leaves_a_line_in_the_log(web_server: RainbowServer) -> None:
    exchange(web_server, request("/healthz", "no-colon"))

    web_server.log_with("INFO refused peer=127.0.0.1 status=400 error='Invalid header'")


def test_requests_that_come_together_are_answered_in_their_order(web_server: RainbowServer) -> None:
    paths = ["/healthz", "/api/v1/nothing", "/readyz"] * 200

    with connect(web_server) as link:
        link.sendall(b"".join(map(request, paths)))
        link.shutdown(socket.SHUT_WR)
        answers = [answer.status for answer in replies(link)]

    assert answers == [200, 404, 200] * 200


def test_requests_that_come_while_others_are_answered_keep_their_order(web_server: RainbowServer) -> None:
    paths = ["/healthz", "/api/v1/nothing"] * 500

    with connect(web_server) as link:
        sender = threading.Thread(target=lambda: [link.sendall(request(path)) for path in paths])
        sender.start()
        answers = [answer.status for answer in islice(replies(link), len(paths))]
        sender.join()

    assert answers == [200, 404] * 500


def test_an_answer_to_head_has_no_body(web_server: RainbowServer) -> None:
    """What came after the head would be taken for the next answer."""
    with connect(web_server) as link:
        link.sendall(request("/healthz", method="HEAD") + request("/healthz", "Connection: close"))
        received = b"".join(iter(lambda: link.recv(65_536), b""))

    first, _, rest = received.partition(b"\r\n\r\n")
    assert b"\r\nContent-Length: 16\r\n" in first
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest.endswith(b'{"status": "ok"}')


def test_a_job_that_did_not_change_is_asked_for_on_one_connection(web_server: RainbowServer) -> None:
    guest = registered(web_server)
    path, who = f"/api/v1/jobs/{guest.submit_over_grpc('hostname')}", f"Authorization: Bearer {guest.token}"
    same = f"If-None-Match: {get(web_server, path, bearer=guest.token).headers['etag']}"

    with connect(web_server) as link:
        link.sendall(request(path, who, same) + request(path, who, same) + request(path, who, "Connection: close"))
        received = b"".join(iter(lambda: link.recv(65_536), b""))

    assert received.count(b"HTTP/1.1 304 Not Modified\r\n") == 2
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 1


def test_what_follows_a_request_that_closes_is_not_read(web_server: RainbowServer) -> None:
    following = f"/{uuid.uuid4()}"

    answers = exchange(web_server, request("/healthz", "Connection: close") + request(following))

    assert [answer.status for answer in answers] == [200]
    assert following not in web_server.log.read_text()


def test_blank_lines_may_stand_before_a_request(web_server: RainbowServer) -> None:
    assert [answer.status for answer in exchange(web_server, b"\r\n" * 5_000 + request())] == [200]


def test_a_client_that_has_said_all_gets_its_answer(web_server: RainbowServer) -> None:
    """It closes its half of the connection; `exchange` does."""
    assert [answer.status for answer in exchange(web_server, request())] == [200]


@pytest.mark.parametrize("size", [1, 7, 65_536])
def test_a_request_may_come_in_pieces_of_any_size(web_server: RainbowServer, size: int) -> None:
    guest = registered(web_server)
    whole = submission(guest, b'{"command": "hostname"}')

    with connect(web_server) as link:
        for start in range(0, len(whole), size):
            link.sendall(whole[start : start + size])
        assert next(replies(link)).status == 201


def test_a_body_in_many_chunks_arrives_whole(web_server: RainbowServer) -> None:
    guest = registered(web_server)
    command = "echo " + "x" * 60_000
    body = json.dumps({"command": command}).encode()

    [answer] = exchange(web_server, submission(guest, chunks(body, 100), CHUNKED))

    assert get(web_server, f"/api/v1/jobs/{answer.json['id']}", bearer=guest.token).json["command"] == command


def test_chunks_that_are_mostly_framing_are_refused(web_server: RainbowServer) -> None:
    guest = registered(web_server)

    [answer] = exchange(web_server, submission(guest, chunks(b" " * 100_000, 1), CHUNKED))

    assert answer.status == 400
    assert b"the chunks are too small" in answer.body


@pytest.mark.parametrize("body", [b"1" * 5_000, b"0\r\n" + b"X: a\r\n" * 5_000], ids=["size line", "trailer"])
def test_the_framing_of_chunks_has_its_limits(web_server: RainbowServer, body: bytes) -> None:
    [answer] = exchange(web_server, request("/api/v1/jobs", CHUNKED, method="POST", body=body))

    assert answer.status in (400, 431)


@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, MAX_BODY_BYTES + 100_000, 3 * MAX_BODY_BYTES])
def test_whoever_sends_too_much_reads_why(web_server: RainbowServer, size: int) -> None:
    """Also where it goes on sending after it was refused."""
    guest = registered(web_server)

    with connect(web_server) as link:
        link.sendall(submission(guest, b" " * size))
        assert next(replies(link)).status == 413


def test_chunks_of_too_much_are_refused(web_server: RainbowServer) -> None:
    guest = registered(web_server)

    with connect(web_server) as link:
        link.sendall(submission(guest, chunks(b" " * (MAX_BODY_BYTES + 100_000), 500_000), CHUNKED))
        assert next(replies(link)).status == 413


def test_a_client_may_ask_before_it_sends_a_body(web_server: RainbowServer) -> None:
    guest = registered(web_server)
    whole = submission(guest, b'{"command": "hostname"}', "Expect: 100-continue")
    head, _, body = whole.partition(b"\r\n\r\n")

    with connect(web_server) as link:
        link.sendall(head + b"\r\n\r\n")
        assert link.recv(1_000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        link.sendall(body)
        assert next(replies(link)).status == 201


def test_a_client_that_asks_to_send_too_much_is_refused_before_it_does(web_server: RainbowServer) -> None:
    size = 2 * MAX_BODY_BYTES
    sent = request("/api/v1/jobs", f"Content-Length: {size}", "Expect: 100-continue", method="POST")

    with connect(web_server) as link:
        link.sendall(sent)
        assert next(replies(link)).status == 413


def submission(guest: Guest, body: bytes, *headers: str) -> bytes:
    length = [] if CHUNKED in headers else [f"Content-Length: {len(body)}"]
    who = f"Authorization: Bearer {guest.token}"
    return request("/api/v1/jobs", who, "Content-Type: application/json", *length, *headers, method="POST", body=body)


def chunks(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
