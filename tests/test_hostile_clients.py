"""Clients without a credential that send what no client should: their own calls fail, and nobody else's."""

from collections.abc import Callable, Iterator

import pytest

from benchmarks import frames
from rainbow.protos import rainbow_pb2 as pb
from tests.patience import PATIENCE_SECONDS
from tests.raw import raw_connection
from tests.servers import RainbowServer
from tests.wire import Remote, joined


@pytest.fixture
def server(start_server: Callable[..., RainbowServer]) -> RainbowServer:
    """Of one test alone: what ends it would end the others, too."""
    return start_server()


@pytest.fixture
def alpha(server: RainbowServer) -> Iterator[Remote]:
    with joined(server) as cluster:
        yield cluster


@pytest.mark.parametrize("path", [b"/\xff\xfe", b"\xc3(/x", b"/a\0b", b"/" + b"x" * 6_000, b""])
def test_a_path_that_is_no_call_ends_its_own_call_alone(alpha: Remote, server: RainbowServer, path: bytes) -> None:
    with raw_connection(server.address) as stranger:
        stranger.call(1, path, frames.message(b""))

        assert stranger.end_of(1)

    assert alpha.stub.Serial(pb.Request(), timeout=PATIENCE_SECONDS).message_count == 1
    assert "Traceback" not in server.log.read_text()
