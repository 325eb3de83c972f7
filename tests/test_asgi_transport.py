"""How gRPC's messages, metadata and statuses are read from, and written to, what an ASGI server gives."""

import asyncio
from collections.abc import Mapping
from typing import Any
from unittest.mock import AsyncMock

import grpc
import pytest
from grpc_health.v1 import health_pb2

from grpc_api.transport.asgi.application import Application
from grpc_api.transport.asgi.connection import AsgiConnection
from grpc_api.transport.asgi.frames import Frames, frame
from grpc_api.transport.asgi.metadata import metadata_in, peer_in, seconds_in, status
from grpc_api.transport.asgi.partial_messages import PartialMessages
from grpc_api.transport.calls import MethodFactory
from grpc_api.transport.formats import standard_format_of
from grpc_api.transport.health import HealthChecks
from grpc_api.transport.requests import Requests
from grpc_api.transport.shedding import Load, Overloaded
from grpc_api.transport.unknown import UnknownCalls
from rainbow.errors import InvalidArgument, RainbowError, ResourceExhausted, Unimplemented

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
GRPC: dict[str, Any] = {
    "type": "http",
    "http_version": "2",
    "method": "POST",
    "path": "/a.B/C",
    "raw_path": b"/a.B/C",
    "query_string": b"",
    "headers": [(b"content-type", b"application/grpc+proto")],
    "extensions": {"http.response.trailers": {}},
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_messages_are_whole_whatever_the_pieces(size: int) -> None:
    frames, found = Frames(), []
    body = frame(b"one") + frame(b"") + frame(b"three" * 50)

    for begin in range(0, len(body), size):
        frames.add(body[begin : begin + size])
        while (message := frames.message()) is not None:
            found.append(message)

    assert found == [b"one", b"", b"three" * 50]
    assert frames.size == 0


@pytest.mark.parametrize(
    ("head", "error"),
    [
        (b"\0\xff\xff\xff\xff", ResourceExhausted),
        (b"\0\0\x40\0\1", ResourceExhausted),
        (b"\1\0\0\0\1", Unimplemented),
        (b"\2\0\0\0\1", InvalidArgument),
    ],
)
def test_a_message_is_refused_by_its_head(head: bytes, error: type[RainbowError]) -> None:
    frames = Frames()
    frames.add(head)

    with pytest.raises(error):
        frames.message()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"5S", 5),
        (b"100m", 0.1),
        (b"2M", 120),
        (b"1H", 3600),
        (b"3u", 3e-6),
        (b"99999999n", 0.099999999),
        (b"", None),
        (b"123456789S", None),
        (b"-1S", None),
        (b"1s", None),
        (b"1 S", None),
    ],
)
def test_a_timeout_is_up_to_eight_digits_and_a_unit(text: bytes, seconds: float | None) -> None:
    assert seconds_in(text) == (None if seconds is None else pytest.approx(seconds))


def test_binary_metadata_is_decoded_with_and_without_padding() -> None:
    headers = [(b"a-bin", b"AAE="), (b"b-bin", b"AAE"), (b"c-bin", b"!"), (b"d", b"text"), (b"grpc-timeout", b"1S")]

    assert metadata_in(headers) == (("a-bin", b"\0\1"), ("b-bin", b"\0\1"), ("d", "text"))


def test_a_message_of_an_error_is_encoded_and_cannot_add_a_header() -> None:
    headers = dict(status(grpc.StatusCode.NOT_FOUND, "50 % ä\r\nx: y", [("rainbow-field", "name")]))

    assert headers == {
        b"grpc-status": b"5",
        b"grpc-message": b"50 %25 %C3%A4%0D%0Ax: y",
        b"rainbow-field": b"name",
    }


@pytest.mark.parametrize(
    ("client", "peer"),
    [
        (("192.0.2.7", 5), "ipv4:192.0.2.7:5"),
        (("::ffff:192.0.2.7", 5), "ipv4:192.0.2.7:5"),
        (("2001:db8::1", 5), "ipv6:%5B2001:db8::1%5D:5"),
        (None, "unknown"),
    ],
)
def test_a_peer_is_named_as_grpc_names_it(client: tuple[str, int] | None, peer: str) -> None:
    assert peer_in(client) == peer


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"method": "GET"}, 405),
        ({"http_version": "1.1"}, 505),
        ({"headers": []}, 415),
        ({"headers": [(b"content-type", b"application/grpc-web")]}, 415),
        ({"extensions": {}}, 400),
    ],
)
def test_what_is_no_call_gets_a_status_of_http(changes: Mapping[str, Any], code: int) -> None:
    sent: list[dict[str, Any]] = []

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body is not read")

    asyncio.run(Application({}, UnknownCalls())({**GRPC, **changes}, receive, send))

    assert sent[0]["status"] == code


def test_unfinished_messages_of_all_calls_together_have_a_limit_and_give_back_what_they_held() -> None:
    partial = PartialMessages(most_bytes=1_000)

    async def read(*pieces: bytes) -> bytes:
        events = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]

        async def receive() -> dict[str, Any]:
            return events.pop(0)

        task = asyncio.current_task()
        assert task is not None
        with AsgiConnection(GRPC, receive, task, partial, has_many_requests=False) as connection:
            answer: bytes = await connection.read()
            return answer

    large = frame(b"x" * 2_000)
    with pytest.raises(Overloaded):
        asyncio.run(read(large[:600], large[600:1_200], large[1_200:]))

    assert partial.held == 0
    assert asyncio.run(read(large[:600], large[600:])) == b"x" * 2_000
    assert partial.held == 0


async def watched_health(timeout: bytes, *events: dict[str, Any]) -> list[dict[str, Any]]:
    """What is sent to a client that watches the server's health, and of whom these events come."""
    requests = Requests(admit=AsyncMock())
    factory = MethodFactory(load=Load(most_calls=2), requests=requests)
    methods = factory.of("a.B", [HEALTH.methods_by_name["Watch"]], HealthChecks([]), standard_format_of)
    request = {"type": "http.request", "body": frame(b""), "more_body": False}
    waiting, sent = [request, *events], list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else await asyncio.get_running_loop().create_future()

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    scope = {**GRPC, "raw_path": b"/a.B/Watch", "headers": [*GRPC["headers"], (b"grpc-timeout", timeout)]}
    await Application(methods, UnknownCalls())(scope, receive, send)
    requests.close()
    return sent


def test_a_deadline_ends_a_call_that_waits() -> None:
    sent = asyncio.run(watched_health(b"50m"))

    assert [event["type"].rpartition(".")[2] for event in sent] == ["start", "body", "body", "trailers"]
    assert dict(sent[-1]["headers"])[b"grpc-status"] == b"4"


def test_a_call_whose_client_is_gone_ends_without_a_status() -> None:
    sent = asyncio.run(watched_health(b"1H", {"type": "http.disconnect"}))

    assert [event["type"].rpartition(".")[2] for event in sent] == ["start", "body"]
