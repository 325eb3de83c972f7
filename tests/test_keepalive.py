"""Connections that are silent for long: what each side sends to keep them, the other side has to put up with."""

import ast
from collections.abc import Iterator
from pathlib import Path

from grpc._cython import cygrpc

from grpc_api.transport.grpcio import OPTIONS
from rainbow.connection import CHANNEL_OPTIONS
from tests.support.servers import ROOT

CLIENT = dict(CHANNEL_OPTIONS)
SERVER = dict(OPTIONS)
PACKAGES = ("rainbow", "grpc_api", "rainbow_site", "jobs", "clusters", "benchmarks", "tests")
# grpc-go lets no client ping more often than this, and networks move pings closer together.
MOST_IMPATIENT_CLIENT_MS = 10_000


def options_in_use() -> Iterator[str]:
    """The names of options of gRPC in all of the code: what comes first in a pair."""
    texts = (path.read_text(encoding="utf-8") for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    for text in (text for text in texts if '"grpc.' in text):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.elts[0], ast.Constant):
                name = node.elts[0].value
                if isinstance(name, str) and name.startswith("grpc."):
                    yield name


def test_grpc_knows_each_option() -> None:
    """It ignores what it does not know without a word."""
    known, used = Path(cygrpc.__file__).read_bytes(), set(options_in_use())

    assert {name for name in used if f"{name}\0".encode() not in known} == set()
    # All are found.
    assert {*CLIENT, *SERVER, "grpc.so_reuseport", "grpc.use_local_subchannel_pool"} <= used


def test_an_option_that_grpc_does_not_know_would_be_noticed() -> None:
    assert b"grpc.http2.min_recv_ping_interval_without_data_ms" not in Path(cygrpc.__file__).read_bytes()


def test_clients_ping_no_more_often_than_the_server_allows() -> None:
    """A server ends the connection of a client that pings more often (gRPC proposal A8)."""
    allowed = SERVER["grpc.http2.min_ping_interval_without_data_ms"]

    assert min(CLIENT["grpc.keepalive_time_ms"], MOST_IMPATIENT_CLIENT_MS) >= 2 * allowed


def test_the_client_pings_while_a_call_waits_however_long_that_is() -> None:
    assert CLIENT["grpc.http2.max_pings_without_data"] == 0
    assert CLIENT["grpc.keepalive_time_ms"] <= 60_000


def test_a_client_without_calls_does_not_ping_unless_the_server_allows_it() -> None:
    assert not CLIENT.get("grpc.keepalive_permit_without_calls") or SERVER["grpc.keepalive_permit_without_calls"]
