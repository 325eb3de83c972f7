"""Whoever guesses the registration secret over gRPC is slowed down."""

from collections.abc import Callable

import grpc
import pytest

from grpc_api.rpcs.registration import address_in
from tests.support.servers import RainbowServer
from tests.support.wire import joined, refusal_of, registration

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


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.7:50000", "192.0.2.7"),
        ("ipv6:%5B2001:db8::1%5D:50000", "2001:db8::1"),
        ("ipv6:[::1]:50000", "::1"),
        ("unix:/run/rainbow", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_address_is_read_off_what_grpc_says(peer: str, address: str) -> None:
    assert address_in(peer) == address
