"""A network that cuts connections at any byte: each job is queued once, whatever was on its way."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from rainbow.client import Client
from rainbow.records import JobSpec
from rainbow.retries import Retries
from tests.support.listener import Listener, connect_to
from tests.support.servers import RainbowServer
from tests.support.wire import Remote

# Of a connection and one short call: some 500 bytes each way.
POINTS = range(1, 500, 61)
WAYS = ("the request", "the answer")


class Cut:
    """Carries connections to a server, and breaks the first after so many bytes of the one way."""

    def __init__(self, target: str, *, way: str, after: int, by_reset: bool) -> None:
        self._target = target
        self._way, self._left, self._by_reset = way, after, by_reset
        self._listener = Listener(self._serve)
        self.address = self._listener.address

    def close(self) -> None:
        self._listener.close()

    def _serve(self, client: socket.socket, number: int) -> None:
        server = connect_to(self._target)
        doomed = self._way if number == 1 else ""
        threading.Thread(target=self._carry, args=(server, client, doomed == "the answer"), daemon=True).start()
        self._carry(client, server, doomed == "the request")

    def _carry(self, source: socket.socket, sink: socket.socket, is_doomed: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data[: self._left] if is_doomed else data)
                if is_doomed and len(data) >= self._left:
                    break
                self._left -= len(data) if is_doomed else 0
        for end in (source, sink):
            self._break(end)

    def _break(self, end: socket.socket) -> None:
        with suppress(OSError):
            if self._by_reset:  # that is what closing does when it may not linger
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.shutdown(socket.SHUT_RD if self._by_reset else socket.SHUT_RDWR)
        end.close()


@contextmanager
def cut(target: str, **how: object) -> Iterator[Cut]:
    network = Cut(target, **how)  # type: ignore[arg-type]
    yield network
    network.close()


@pytest.mark.parametrize("by_reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("way", WAYS)
def test_a_submission_that_is_cut_anywhere_makes_one_job(
    server: RainbowServer, remote: Remote, way: str, by_reset: bool
) -> None:
    ids = []
    for after in POINTS:
        with (
            cut(server.address, way=way, after=after, by_reset=by_reset) as network,
            Client(network.address, cluster=remote.name, token=remote.token, timeout_seconds=120) as client,
        ):
            ids.append(client.submit_job(JobSpec(command="hostname")).jobid)

    assert len(set(ids)) == len(ids) == sum(remote.summary().values())


@pytest.mark.parametrize("by_reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("way", WAYS)
def test_a_row_of_jobs_that_is_cut_anywhere_is_queued_once(
    server: RainbowServer, remote: Remote, way: str, by_reset: bool
) -> None:
    breaks: list[object] = []
    retries = Retries(on_pause=lambda failure, seconds: breaks.append(failure))
    options: Any = {"cluster": remote.name, "token": remote.token, "timeout_seconds": 120, "retries": retries}
    for after in POINTS:
        with (
            cut(server.address, way=way, after=after, by_reset=by_reset) as network,
            Client(network.address, **options) as client,
        ):
            assert len(list(client.submit_stream([JobSpec(command="hostname")] * 5))) == 5

    assert breaks
    assert sum(remote.summary().values()) == 5 * len(POINTS)
