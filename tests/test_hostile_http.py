"""Clients of the web server that stall, trickle or hoard: nobody else waits for them, and they do not stay."""

import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from rainbow_site.web_server.patience import SECONDS, SLOWEST_BYTES_PER_SECOND, Patience, Stage
from rainbow_site.web_server.server import MAX_CONNECTIONS, MAX_HELD_BYTES
from tests.support.raw_http import (
    HALF_BODY,
    HALF_HANDSHAKE,
    HALF_HEAD,
    LARGE,
    connect,
    drip,
    encrypted,
    is_open,
    replies,
    request,
    wait_until_closed,
)
from tests.support.servers import RainbowServer
from tests.support.web import get

Start = Callable[..., RainbowServer]


@pytest.fixture
def links() -> Iterator[ExitStack]:
    """Closes what the test has opened."""
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("half", [HALF_HEAD, HALF_BODY, b""], ids=["head", "body", "nothing"])
def test_half_sent_requests_hold_up_nobody(web_server: RainbowServer, links: ExitStack, half: bytes) -> None:
    answers = [answer_beside_ten_more(web_server, links, half) for _ in range(10)]

    assert answers == [200] * 10


def answer_beside_ten_more(server: RainbowServer, links: ExitStack, half: bytes) -> int:
    """Its status. On a slow machine those before may have had all of their time meanwhile."""
    stalled = [links.enter_context(connect(server)) for _ in range(10)]
    for link in stalled:
        link.sendall(half)
    answer = get(server, "/healthz").status
    assert all(is_open(link) for link in stalled), "it waited for none of them to end"
    return answer


def test_those_who_do_not_fetch_their_answers_hold_up_nobody(web_server: RainbowServer, links: ExitStack) -> None:
    stalled = [links.enter_context(connect(web_server, window=4096)) for _ in range(60)]
    for link in stalled:
        link.sendall(request(LARGE))

    answers = [get(web_server, "/healthz").status for _ in range(10)]

    assert answers == [200] * 10


def test_half_handshakes_hold_up_nobody(tls_web_server: RainbowServer, links: ExitStack) -> None:
    answers = [answer_beside_ten_more(tls_web_server, links, HALF_HANDSHAKE) for _ in range(10)]

    assert answers == [200] * 10


def test_whoever_stalls_or_trickles_is_cut_off(
    web_server: RainbowServer, tls_web_server: RainbowServer, links: ExitStack
) -> None:
    """All ways at once, since each takes its time."""
    plain = {what: links.enter_context(connect(web_server)) for what in ("idle", "head", "body", "more head", "more")}
    silent = {what: links.enter_context(connect(tls_web_server)) for what in ("no hello", "handshake")}
    inside = {what: links.enter_context(encrypted(tls_web_server)) for what in ("tls head", "tls body")}
    halves = {"idle": b"", "head": HALF_HEAD, "more head": HALF_HEAD, "no hello": b"", "handshake": HALF_HANDSHAKE}
    stop = links.enter_context(_stopped())
    for what, link in {**plain, **silent, **inside}.items():
        link.sendall(halves.get(what.removeprefix("tls "), HALF_BODY))
    for what in ("more head", "more"):
        threading.Thread(target=drip, args=(plain[what], stop), daemon=True).start()

    said = {what: wait_until_closed(link) for what, link in {**plain, **silent, **inside}.items()}

    assert set(said.values()) == {b""}, "what is no request gets no answer"


def test_an_answer_that_nobody_fetches_is_given_up(web_server: RainbowServer, links: ExitStack) -> None:
    link = links.enter_context(connect(web_server, window=4096))
    link.sendall(request(LARGE))
    # Reading tells whether the server hung up, and would be fetching: sending tells it, too.
    with pytest.raises(OSError):
        drip_until_refused(link)

    assert get(web_server, "/healthz").status == 200


def test_a_slow_reader_gets_all_of_a_large_answer(web_server: RainbowServer) -> None:
    whole = get(web_server, LARGE).body

    with connect(web_server, window=4096) as link:
        link.sendall(request(LARGE, "Connection: close"))
        [slow] = replies(link)

    assert slow.body == whole


def test_hoarded_bodies_are_dropped_before_the_memory_goes(start_server: Start, links: ExitStack) -> None:
    server = start_server(with_web=True)
    size = 7 * 1024 * 1024
    head = request("/api/v1/jobs", f"Content-Length: {size}", method="POST")
    hoards = [links.enter_context(connect(server)) for _ in range(2 * MAX_HELD_BYTES // size)]

    for link in hoards:
        _send_all_but_one(link, head + b"x" * size)
        assert get(server, "/healthz").status == 200

    assert sum(not is_open(link) for link in hoards) >= len(hoards) // 2 - 2
    assert is_open(hoards[-1]), "those who came first go first"


def test_connections_that_idle_make_room_for_new_ones(start_server: Start, links: ExitStack) -> None:
    server = start_server(with_web=True)
    _allow_files(MAX_CONNECTIONS + 500)

    crowd = [links.enter_context(connect(server)) for _ in range(MAX_CONNECTIONS + 100)]

    assert get(server, "/healthz").status == 200
    assert any(is_open(link) for link in crowd)


def test_a_stop_does_not_wait_for_those_who_stall(start_server: Start, links: ExitStack) -> None:
    server = start_server(with_web=True)
    for half in (b"", HALF_HEAD, HALF_BODY) * 10:
        links.enter_context(connect(server)).sendall(half)
    get(server, "/healthz")

    assert server.stop() == 0


# The clock


@pytest.mark.parametrize("stage", SECONDS)
def test_each_stage_has_its_time(stage: Stage) -> None:
    patience = Patience(0)
    patience.note(stage, request=1, now=100)

    assert not patience.is_over(100 + SECONDS[stage])
    assert patience.is_over(101 + SECONDS[stage])


@pytest.mark.parametrize(("stage", "earns"), [(Stage.BODY, True), (Stage.SENDING, True), (Stage.HEAD, False)])
def test_bytes_earn_time_where_they_are_the_point(stage: Stage, earns: bool) -> None:
    patience = Patience(0)
    patience.note(stage, request=1, now=0)
    patience.note_moved(100 * SLOWEST_BYTES_PER_SECOND)

    assert patience.is_over(90 + SECONDS[stage]) is not earns
    assert patience.is_over(110 + SECONDS[stage])


def test_our_own_time_is_not_the_clients() -> None:
    patience = Patience(0)
    patience.note(Stage.ANSWERING, request=1, now=0)

    assert not patience.is_over(10_000)


def test_the_next_request_has_its_own_time() -> None:
    patience = Patience(0)
    patience.note(Stage.HEAD, request=1, now=0)
    patience.note(Stage.HEAD, request=2, now=15)

    assert not patience.is_over(30)


def drip_until_refused(link: socket.socket) -> None:
    """What follows a request waits in the server's socket, and a connection that is closed refuses it."""
    tick = threading.Event()
    while True:
        link.send(b"x")
        tick.wait(0.2)


def _send_all_but_one(link: socket.socket, data: bytes) -> None:
    link.sendall(data[:-1])


class _stopped:
    def __enter__(self) -> threading.Event:
        self._event = threading.Event()
        return self._event

    def __exit__(self, *error: object) -> None:
        self._event.set()


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip("needs more open files than this machine allows")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
