"""Connections that are silent for long: what the client sends to keep them, the server has to put up with."""

from grpc_api.server import OPTIONS
from rainbow.connection import CHANNEL_OPTIONS

CLIENT = dict(CHANNEL_OPTIONS)
SERVER = dict(OPTIONS)


def test_the_client_pings_no_more_often_than_the_server_allows() -> None:
    """A server ends the connection of a client that pings more often (gRPC proposal A8)."""
    assert CLIENT["grpc.keepalive_time_ms"] >= 2 * SERVER["grpc.http2.min_recv_ping_interval_without_data_ms"]


def test_the_client_pings_while_a_call_waits_however_long_that_is() -> None:
    assert CLIENT["grpc.http2.max_pings_without_data"] == 0
    assert CLIENT["grpc.keepalive_time_ms"] <= 60_000


def test_a_client_without_calls_does_not_ping_unless_the_server_allows_it() -> None:
    assert not CLIENT.get("grpc.keepalive_permit_without_calls") or SERVER["grpc.keepalive_permit_without_calls"]
