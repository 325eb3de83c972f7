"""Whoever guesses the registration secret over gRPC is slowed down."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from grpc_api.rpcs.registration import address_in
from grpc_api.transport.peers import peer_of
from tests.support.servers import RainbowServer
from tests.support.wire import PATIENCE_SECONDS, joined, refusal_of, registration

LIMIT = 30


def test_an_address_has_thirty_guesses_a_minute_and_good_credentials_pass(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    with joined(server) as alpha:
        wrong = registration(server, secret="wrong")
        refusals = [refusal_of(alpha.stub.Register, wrong) for _ in range(LIMIT + 1)]
        right = refusal_of(alpha.stub.Register, registration(server))
        mine = alpha.submit()

    assert {refusal.code for refusal in refusals[:-1]} == {grpc.StatusCode.UNAUTHENTICATED}
    assert {refusals[-1].code, right.code} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert mine.jobid


def test_behind_a_proxy_one_who_guesses_keeps_no_other_out(start_server: Callable[..., RainbowServer]) -> None:
    """The test is the proxy: what the client itself wrote comes before the address that the proxy appends."""
    server = start_server(environment={"RAINBOW_GRPC_PROXIES": "1"})
    with joined(server) as alpha:
        wrong = registration(server, secret="wrong")
        for number in range(LIMIT + 1):
            guessed = refusal_of(
                alpha.stub.Register, wrong, metadata=(("x-forwarded-for", f"198.51.100.{number}, 192.0.2.7"),)
            )
        other = (("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "192.0.2.8"))
        alpha.stub.Register(registration(server), metadata=other, timeout=PATIENCE_SECONDS)

    assert guessed.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    server.log_with("peer=forwarded:192.0.2.7")


def test_without_a_proxy_a_client_does_not_choose_its_address(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server()
    with joined(server) as alpha:
        refusal_of(
            alpha.stub.Register, registration(server, secret="wrong"), metadata=(("x-forwarded-for", "192.0.2.7"),)
        )

    assert "192.0.2.7" not in server.log_with("Register")


class Connection:
    def peer(self) -> str:
        return "ipv4:127.0.0.1:50000"


@pytest.mark.parametrize(
    ("proxies", "written", "peer"),
    [
        (0, ["192.0.2.7"], "ipv4:127.0.0.1:50000"),
        (1, [], "ipv4:127.0.0.1:50000"),
        (1, ["192.0.2.1, 192.0.2.7"], "forwarded:192.0.2.7"),
        (2, ["192.0.2.1, 192.0.2.7", "10.0.0.1"], "forwarded:192.0.2.7"),
        (3, ["192.0.2.7"], "forwarded:192.0.2.7"),
        (1, ["2001:DB8::1"], "forwarded:2001:db8::1"),
        (1, ["192.0.2.7,"], "forwarded:unknown"),
        (1, ["\x1b[31m 192.0.2.7 x"], "forwarded:unknown"),
    ],
)
def test_only_as_many_proxies_are_believed_as_there_are(
    settings: Any, proxies: int, written: list[str], peer: str
) -> None:
    settings.RAINBOW_GRPC_PROXIES = proxies

    assert (
        peer_of(Connection(), [("authorization", "Bearer x"), *(("x-forwarded-for", one) for one in written)]) == peer
    )


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.7:50000", "192.0.2.7"),
        ("ipv6:%5B2001:db8::1%5D:50000", "2001:db8::1"),
        ("ipv6:[::1]:50000", "::1"),
        ("unix:/run/rainbow", "unknown"),
        ("forwarded:2001:db8::1", "2001:db8::1"),
        ("", "unknown"),
    ],
)
def test_the_address_is_read_off_what_grpc_says(peer: str, address: str) -> None:
    assert address_in(peer) == address
